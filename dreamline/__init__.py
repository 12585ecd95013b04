"""What a plugin may import: the contract, and the tools to prepare pictures with.

Everything here keeps its name and meaning from version to version; nothing else does. The tools live in
`dreamline.preparation`.
"""

from core.cards import ModelCard
from core.conditions import ConditionType, NoOptions, Workbench
from core.errors import (
    BadInput,
    DreamlineError,
    Infrastructure,
    OutOfMemory,
    PluginError,
    Problem,
    Stopped,
    WeightsMissing,
)
from core.hookspecs import Event, Generator, OnStep, Panel, hookimpl
from core.requests import DREAMO_ROLE, Image, Method, Preparation, Reference, Request, Role, Score
from core.settings import Settings

__all__ = [
    "DREAMO_ROLE",
    "BadInput",
    "ConditionType",
    "DreamlineError",
    "Event",
    "Generator",
    "Image",
    "Infrastructure",
    "Method",
    "ModelCard",
    "NoOptions",
    "OnStep",
    "OutOfMemory",
    "Panel",
    "PluginError",
    "Preparation",
    "Problem",
    "Reference",
    "Request",
    "Role",
    "Score",
    "Settings",
    "Stopped",
    "WeightsMissing",
    "Workbench",
    "hookimpl",
]

"""What a command needs that `pip install dreamline` alone does not bring."""

from __future__ import annotations

import importlib.util

from core.errors import BadInput, Problem

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft")


def require_torch() -> None:
    """Raises BadInput where what generation and training compute with is not installed, naming each package."""
    BadInput.gather(
        Problem(f"package {name}", "is not installed", "pip install 'dreamline[generation]'")
        for name in PACKAGES
        if importlib.util.find_spec(name) is None
    )

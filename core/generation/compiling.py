"""torch.compile for the transformer's blocks: when it pays, and where what it made is kept between processes."""

from __future__ import annotations

import logging
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.generation.memory import bytes_of
from core.settings import Settings

log = logging.getLogger("dreamline")

NEEDS = "Install gcc (on Debian: apt-get install gcc libc6-dev g++), or say DREAMLINE_COMPILE=off"

LARGE = 1e9
"""Bytes of weights from which on an automatic choice compiles: small models are made before a compiler is done."""


def prepare(transformer: Any, settings: Settings, device: str) -> None:
    """Compiles a fused transformer's blocks where the settings or the size of the model want it; at first use.

    Raises:
        BadInput: compilation was asked for, and there is no compiler, or a memory mode that goes without.
    """
    asked, where = settings.compile, "environment variable DREAMLINE_COMPILE"
    fused, kind = hasattr(transformer, "compile_blocks"), device.split(":")[0]
    if asked == "on" and not fused:
        raise BadInput.at(where, "'on' does not go with blocks that come one by one", "Leave it at auto")
    if asked == "on" and not has_compiler(kind):
        raise BadInput.at(where, f"there is no compiler for {kind} here", NEEDS)
    if not fused or asked == "off" or (asked == "auto" and not _pays(transformer, device)):
        return
    if not has_compiler(kind):
        log.warning("there is no compiler for %s here: images take half as long again. %s", kind, NEEDS)
        return
    keep_between_processes(settings.home / "cache" / "compiled")
    transformer.compile_blocks()
    log.info("the transformer's blocks are compiled at their first use; %s keeps them", settings.home)


def has_compiler(kind: str) -> bool:
    """Whether torch can compile for this kind of device (`cpu`, `cuda`).

    For processors it calls a C++ compiler, for NVIDIA GPUs Triton, which calls one of C.
    """
    if kind == "cuda":
        named = (os.environ.get("CC", ""), "gcc", "clang", "cc")
        return find_spec("triton") is not None and any(shutil.which(name) for name in named)
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++"))


def keep_between_processes(folder: Path) -> None:
    """Lets what is compiled outlive the process; a folder that the environment names already is left as it is.

    See https://docs.pytorch.org/tutorials/recipes/torch_compile_caching_tutorial.html.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _pays(transformer: Any, device: str) -> bool:
    return device.startswith("cuda") and bytes_of(transformer) >= LARGE

"""torch.compile for the transformer's blocks: when it pays, and where what it made is kept between processes."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.generation.memory import bytes_of
from core.settings import Settings

log = logging.getLogger("dreamline")

LARGE = 1e9
"""Bytes of weights from which on an automatic choice compiles: small models are made before a compiler is done."""


def prepare(transformer: Any, settings: Settings, device: str) -> None:
    """Compiles a fused transformer's blocks where the settings or the size of the model want it; at first use.

    Raises:
        BadInput: compilation was asked for in a memory mode without it.
    """
    asked = settings.compile
    fused = hasattr(transformer, "compile_blocks")
    if asked == "on" and not fused:
        where = "environment variable DREAMLINE_COMPILE"
        raise BadInput.at(where, "'on' does not go with blocks that come one by one", "Leave it at auto")
    if not fused or asked == "off" or (asked == "auto" and not _pays(transformer, device)):
        return
    keep_between_processes(settings.home / "cache" / "compiled")
    transformer.compile_blocks()
    log.info("the transformer's blocks are compiled at their first use; %s keeps them", settings.home)


def keep_between_processes(folder: Path) -> None:
    """Lets what is compiled outlive the process; a folder that the environment names already is left as it is.

    See https://docs.pytorch.org/tutorials/recipes/torch_compile_caching_tutorial.html.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _pays(transformer: Any, device: str) -> bool:
    return device.startswith("cuda") and bytes_of(transformer) >= LARGE

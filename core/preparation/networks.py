"""Cutting out by a learned network: rembg's sessions, on weights that are here already.

rembg (D. Gatis, MIT) knows how pictures go into U2-Net and BiRefNet and how masks come out; it would fetch weights
by itself, so a session here is told where its file lies. Methods are offered where the extra `matting` is
installed and a tool's file is present.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput, WeightsMissing
from core.images import on_white
from core.preparation.cut_outs import EDGE_SIDE, LEAST, CutOut, bounded, cut_along, touching
from core.preparation.grabcut import without_specks
from core.requests import Method
from core.settings import Settings
from core.toolbox import REMBG, TOOLS, require_files, tool_files, tool_hashes

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PREFIX = "rembg-"
"""Before the tool's name in the name of a method."""

NETWORK_SIDE = 320
"""Pixels of U2-Net's side; BiRefNet's is 1024. An edge is off by up to one of these pixels."""


def network_methods(settings: Settings) -> tuple[Method, ...]:
    """The networks that can cut out on this machine, best first."""
    if find_spec("rembg") is None or find_spec("onnxruntime") is None:
        return ()
    names = [name for name, tool in TOOLS.items() if tool.repository == REMBG]
    return tuple(
        Method(PREFIX + name, "1", tool_hashes(name, settings))
        for name in names
        if tool_files(name, settings) is not None
    )


def cut_by_network(picture: Picture, name: str, models: Path, source: str) -> CutOut:
    """What the network takes for the thing in the foreground.

    Args:
        picture: RGB or RGBA; what is transparent counts as white.
        name: of a method, as `network_methods` gives it.
        models: the folder of weights.
        source: the file's name, for messages.

    Raises:
        BadInput: it finds nothing, or something that the frame cuts.
        WeightsMissing: the file or the extra is not on this machine.
    """
    import numpy as np

    whole = bounded(on_white(picture), EDGE_SIDE)
    session = _session(name.removeprefix(PREFIX), models)
    # A picture in which every pixel counts the same is divided by nothing.
    with np.errstate(all="ignore"):
        mask = session.predict(whole)[0]
    hard_HW = np.asarray(mask.convert("L")) >= 128
    if hard_HW.mean() < LEAST:
        mend = "Give a picture in which it is larger or stands out more, or a mask's file"
        raise BadInput.at(source, "shows nothing that can be told from its ground", mend)
    hard_HW = without_specks(hard_HW)
    warnings = touching(hard_HW, source)
    return cut_along(whole, hard_HW, 2 + ceil(max(whole.size) / NETWORK_SIDE), warnings, {"cut_by": name})


def _session(name: str, models: Path) -> Any:
    path = require_files(name, models)[f"{name}.onnx"]
    facts = path.stat()
    return _load(name, path, (facts.st_ino, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=1)
def _load(name: str, path: Path, facts: tuple[int, int, int]) -> Any:
    """A session of rembg that reads this very file; kept, for loading takes longer than cutting."""
    try:
        import onnxruntime
        from rembg.sessions import sessions
    except ImportError as error:
        raise WeightsMissing(f"cutting out by {name} needs rembg: pip install 'dreamline[matting]'") from error
    here = {"download_models": classmethod(lambda cls, *args, **more: str(path))}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session: type[Any] = type(f"Pinned{name}", (sessions[name],), here)
    return session(name, options, providers=["CPUExecutionProvider"])

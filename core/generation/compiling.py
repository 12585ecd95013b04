"""torch.compile for transformer and decoder: when it pays, and where what it made is kept between processes."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.generation import code_cache
from core.generation.memory import bytes_of
from core.settings import Settings

log = logging.getLogger("dreamline")

Backend = str | Callable[..., Any]
"""What torch.compile takes as its backend."""

NEEDS = "Install gcc, g++ and Python's headers (on Debian: gcc g++ python3-dev), or say DREAMLINE_COMPILE=off"

LARGE = 1e9
"""Bytes of weights from which on an automatic choice compiles: small models are made before a compiler is done."""


def prepare(transformer: Any, vae: Any, settings: Settings, device: str) -> None:
    """Compiles a fused transformer's blocks and the decoder where settings or size want it; at their first use.

    Args:
        transformer: placed on the device, or lent to it later.
        vae: the autoencoder.
        settings: say what is wanted, and where what is compiled is kept.
        device: `cuda:0`, `cpu`.

    Raises:
        BadInput: compilation was asked for, and there is no compiler, or a memory mode that goes without.
    """
    asked, where = settings.compile, "environment variable DREAMLINE_COMPILE"
    fused = hasattr(transformer, "compile_blocks")
    if asked == "on" and not fused:
        raise BadInput.at(where, "'on' does not go with blocks that come one by one", "Leave it at auto")
    if not fused or asked == "off" or (asked == "auto" and not _pays(transformer, device)):
        return
    keep_between_processes(code_cache.folder_of(settings))
    code_cache.make_room(settings)
    backend: Backend = rows_in_registers
    wrong = try_compiler(device, backend)
    if wrong and not try_compiler(device, "inductor"):
        log.warning("this torch does not hold rows in registers (%s): images take a little longer", wrong)
        backend, wrong = "inductor", ""
    if wrong and asked == "on":
        raise BadInput.at(where, f"nothing can be compiled for {device} here ({wrong})", NEEDS)
    if wrong:
        log.warning("nothing can be compiled for %s here (%s): images take longer. %s", device, wrong, NEEDS)
        return
    transformer.compile_blocks(backend=backend)
    compile_decoder(vae)
    log.info("transformer and decoder are compiled at their first use, and kept in %s", os.environ[KEPT_IN])


def rows_in_registers(graph: Any, inputs: Sequence[Any]) -> Any:
    """Torch's own compiler, which reads a row once where it is reduced and used: a backend for torch.compile.

    A layer norm of FLUX's rows takes half the time so (docs/performance.md). What is compiled is kept under a name
    of its own, since torch's caches know nothing of choices.
    """
    import torch
    from torch._inductor.compile_fx import compile_fx
    from torch._inductor.virtualized import V

    config: Any = torch.compiler.config
    tag = config.cache_key_tag + CHOICES
    with V.set_choices_handler(choices()), config.patch(cache_key_tag=tag):
        return compile_fx(graph, list(inputs))


CHOICES = "dreamline rows/1"
"""The name of what `choices` chooses."""


HEAD, LONG = 128, 16384
"""Numbers of a row: up to a head's the compiler decides well itself; more than `LONG` no registers hold."""


def choices() -> Any:
    """What the compiler decides, but for rows over `HEAD`: by the hook that torch's InductorChoices describes."""
    from torch._inductor.choices import InductorChoices

    class Choices(InductorChoices):
        @staticmethod
        def should_use_persistent_reduction(features: Any, cooperative_reduction: bool) -> bool:
            row = features.reduction_numel
            if row.is_Integer and HEAD < row <= LONG:
                return True
            return InductorChoices.should_use_persistent_reduction(features, cooperative_reduction)

    return Choices()


def compile_decoder(vae: Any, **options: Any) -> None:
    """Compiles an autoencoder's decoder for pictures of any size: `options` are torch.compile's.

    Weights are laid out with channels last, as the matrix units of GPUs take them; the compiler follows them.
    """
    import torch

    vae.decoder.to(memory_format=torch.channels_last)
    vae.decoder.compile(dynamic=True, **options)


def has_compiler(kind: str) -> bool:
    """Whether what torch compiles with for this kind of device (`cpu`, `cuda`) seems to be here.

    For processors it calls a C++ compiler, for NVIDIA GPUs Triton, which calls one of C.
    """
    if kind == "cuda":
        named = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
        return find_spec("triton") is not None and any(shutil.which(name) for name in named)
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++"))


def try_compiler(device: str, backend: Backend) -> str:
    """Compiles sums of rows; what went wrong in a line, or nothing."""
    import torch

    if not has_compiler(device.split(":")[0]):
        return "there is no compiler"
    try:
        rows = torch.ones(4096, 3072, device=device)
        made = torch.compile(lambda x: x + x.sum(-1, keepdim=True), backend=backend)(rows)
        if not torch.all(made == 3073):
            return f"1 + 3072 became {made.flatten()[0]}"
    except Exception as raised:
        error = getattr(raised, "inner_exception", raised)
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return ""


KEPT_IN = "TORCHINDUCTOR_CACHE_DIR"


def keep_between_processes(folder: Path) -> None:
    """Lets what is compiled outlive the process; a folder that the environment names already is left as it is.

    See https://docs.pytorch.org/tutorials/recipes/torch_compile_caching_tutorial.html.
    """
    os.environ.setdefault(KEPT_IN, str(folder))


def _pays(transformer: Any, device: str) -> bool:
    return device.startswith("cuda") and bytes_of(transformer) >= LARGE

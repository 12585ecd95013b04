"""From a reference's bytes to what the generator encodes; used by workers and by `dreamline generate` alike.

The plugin of the kind does the work; here it gets its workbench, and what it returns is held against the
contract, so that a mistake of a plugin bears its name and never reaches the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from core.cards import ModelCard
from core.conditions import ConditionType, Workbench
from core.errors import BadInput, DreamlineError, PluginError
from core.requests import Preparation, Reference
from core.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Result = TypeVar("Result")

PIXELS_PER_TOKEN = 16 * 16
"""One token of FLUX is a square of 2 x 2 latents, each of 8 x 8 pixels."""


def prepare_reference(
    data: bytes,
    reference: Reference,
    condition: ConditionType[Any],
    card: ModelCard,
    settings: Settings,
    mask: bytes | None = None,
) -> Preparation:
    """Reads `data` safely and prepares it as its kind says.

    Args:
        data: the file's bytes.
        reference: whose bytes they are, with options and the pinned method.
        condition: the kind that `reference.kind` names.
        card: the model that will see it: grid and reference area.
        settings: where weights of preparations lie.
        mask: the bytes of the mask's file, for a reference that has one.

    Raises:
        BadInput: a file is no picture that can be read, or can't serve as this kind.
        PluginError: the kind's plugin raised, or broke its contract.
    """
    from core.images import read_picture

    source = reference.source or f"{reference.name} ({reference.sha256[:12]})"
    options, problems = condition.read_options(reference.options, f"reference {reference.name!r}")
    BadInput.gather(problems)
    picture = read_picture(data, source)
    bench = workbench(reference, condition, card, settings, source)
    if mask is not None:
        bench = replace(bench, mask=read_mask(mask, picture, f"the mask of {source}"))
    prepared = _as_the_plugin(reference, lambda: condition.prepare(picture, options, bench))
    _as_the_plugin(reference, lambda: _hold_to_contract(prepared, reference, bench))
    return replace(prepared, role=condition.role)


def read_mask(data: bytes, picture: Picture, source: str) -> Picture:
    """A mask's file as `L` of the picture's size: its transparency where it has some, else its light.

    Raises:
        BadInput: it is no picture, of another shape than the picture it belongs to, or of one value everywhere.
    """
    from PIL import Image

    from core.images import on_white, read_picture
    from core.preparation.matting import has_alpha

    read = read_picture(data, source)
    seen = read.getchannel("A") if has_alpha(read) else on_white(read).convert("L")
    if abs(seen.width * picture.height - seen.height * picture.width) > 0.02 * seen.width * picture.height:
        text = f"is {seen.width} x {seen.height}, its picture {picture.width} x {picture.height}"
        raise BadInput.at(source, text, "Give a mask of the picture's own shape")
    low, high = seen.getextrema()
    if low == high:
        raise BadInput.at(source, f"is {low} everywhere", "Paint white where the thing is and black elsewhere")
    return seen if seen.size == picture.size else seen.resize(picture.size, Image.Resampling.BILINEAR)


def workbench(
    reference: Reference, condition: ConditionType[Any], card: ModelCard, settings: Settings, source: str
) -> Workbench:
    """What the preparer may know. The seed follows from the picture alone: same bytes in, same bytes out."""
    area = card.reference_area
    if condition.tokens is not None:
        area = min(area, condition.tokens * PIXELS_PER_TOKEN)
    return Workbench(
        area=area,
        multiple=card.grid,
        source=source,
        method=reference.method,
        models=settings.models_folder,
        seed=int(reference.sha256[:8] or "0", 16),
    )


def _as_the_plugin(reference: Reference, work: Callable[[], Result]) -> Result:
    try:
        return work()
    except DreamlineError:
        raise
    except Exception as error:
        raise PluginError(
            _plugin(reference), f"preparing {reference.source or reference.name} raised {error!r}"
        ) from error


def _plugin(reference: Reference) -> str:
    return reference.plugin.split(" ")[0] or reference.kind


def _hold_to_contract(prepared: Any, reference: Reference, bench: Workbench) -> None:
    plugin = _plugin(reference)
    if not isinstance(prepared, Preparation):
        raise PluginError(plugin, f"preparing {reference.kind} returned {prepared!r}, not a Preparation")
    picture, mask = prepared.picture, prepared.mask
    size = f"{picture.width}x{picture.height}"
    if picture.mode != "RGB":
        raise PluginError(plugin, f"{reference.kind}: the prepared picture is {picture.mode}, it has to be RGB")
    if picture.width % bench.multiple or picture.height % bench.multiple or not all(picture.size):
        raise PluginError(plugin, f"{reference.kind}: {size} is not a multiple of {bench.multiple} pixels")
    if picture.width * picture.height > bench.area:
        raise PluginError(plugin, f"{reference.kind}: {size} is more than the {bench.area} pixels it may have")
    if mask is not None and (mask.size != picture.size or mask.mode != "L"):
        raise PluginError(
            plugin, f"{reference.kind}: the mask is {mask.mode} {mask.size}, it has to be L {picture.size}"
        )

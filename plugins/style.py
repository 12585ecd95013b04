"""The kind `style`: a whole picture whose manner is kept, not its things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dreamline import ConditionType, Method, NoOptions, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import KEEP_WHOLE, keep_whole

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"


@hookimpl
def condition_types() -> Sequence[ConditionType[Any]]:
    return [
        ConditionType(
            name="style",
            title="A picture whose style is kept",
            prepare=prepare,
            options=NoOptions,
            methods=methods,
            prompt_prefix="generate a same style image.",
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    return (KEEP_WHOLE,)


def prepare(picture: Picture, options: NoOptions, bench: Workbench) -> Preparation:
    """Fits the whole picture to the reference's area.

    Raises:
        BadInput: it is too small or too narrow.
    """
    return Preparation(keep_whole(picture, bench.area, bench.multiple, bench.source))

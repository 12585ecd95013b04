"""What the trainer asks of a sample, whoever made it: the drawn world, or a folder of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class Reference(Protocol):
    """What a reference shows, as a model is to see it."""

    @property
    def kind(self) -> str: ...

    @property
    def picture(self) -> Picture: ...


class Learnable(Protocol):
    """A sample to learn from; `core.training.world.samples.Sample` says what its parts are."""

    @property
    def task(self) -> str: ...

    @property
    def target(self) -> Picture: ...

    @property
    def caption(self) -> str: ...

    @property
    def spoken(self) -> str: ...

    @property
    def references(self) -> Sequence[Reference]: ...

    @property
    def masks(self) -> Sequence[Picture]: ...

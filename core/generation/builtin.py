"""dreamline's own generators, found like any plugin's and asked last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.hookspecs import Generator, hookimpl

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.settings import Settings


@hookimpl(trylast=True)
def make_generator(card: ModelCard, settings: Settings, device: str) -> Generator | None:
    if card.generator == "dreamo":
        from core.generation.dreamo import DreamO

        return DreamO(card, settings, device)
    if card.generator == "fake":
        from core.generation.fake import FakeGenerator

        return FakeGenerator(seconds=settings.fake_seconds)
    return None

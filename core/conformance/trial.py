"""A plugin on trial: alone with dreamline's own generators, and asked as planning and a worker ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from core.asking import make_reference
from core.cards import ModelCard, load_card
from core.conformance.pictures import SAMPLES
from core.errors import BadInput
from core.preparing import prepare_reference
from core.registry import Offer, Registry
from core.requests import Preparation, Reference
from core.settings import Settings

MODEL, WITHOUT_TORCH = "dreamo-mini", "storyboard"


class NothingTaken(Exception):
    """A kind takes none of the samples, so that the promise can't be tried."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A plugin on trial.

    Attributes:
        plugin: its name.
        registry: it and dreamline's own generators, nothing else.
        beside: all that is installed, to see whether its kinds clash; None outside an installation.
        settings: of this machine.
        picture: a file that its kinds take, where the drawn samples are none.
        options: of its kinds, where their defaults don't do.
    """

    plugin: str
    registry: Registry
    beside: Registry | None
    settings: Settings
    picture: bytes | None = None
    options: Mapping[str, Any] | None = None

    @property
    def card(self) -> ModelCard:
        """Of the smallest model there is; where torch is not installed, of what draws requests without one."""
        return load_card(MODEL if find_spec("torch") else WITHOUT_TORCH, self.settings)

    def makes(self, offer: Offer) -> bool:
        """Whether the card's model can make images with a kind: one with roles has to have one for its base."""
        roles = offer.condition.role.files
        return not roles or self.card.generator != "dreamo" or self.card.base_name in roles

    def offers(self) -> list[Offer]:
        """Its kinds."""
        return [one for one in self.registry.kinds().values() if one.plugin == self.plugin]

    def hooks(self) -> list[str]:
        """The hooks that it implements."""
        return [hook for info in self.registry.plugins() if info.name == self.plugin for hook in info.hooks]

    def reference(self, offer: Offer, data: bytes, **options: Any) -> Reference:
        """A reference to `data` as planning makes it.

        Raises:
            BadInput: the kind has no such options.
        """
        own = {one.name for one in fields(offer.condition.options)}
        given = {name: value for name, value in (self.options or {}).items() if name in own} | options
        made, problems = make_reference(
            "it", data, "picture.png", offer, given, self.settings, offer.condition.name
        )
        if made is None:
            raise BadInput(*problems)
        return made

    def prepare(self, offer: Offer, data: bytes, card: ModelCard | None = None, **options: Any) -> Preparation:
        """Prepares `data` as a worker does."""
        reference = self.reference(offer, data, **options)
        return prepare_reference(data, reference, offer.condition, card or self.card, self.settings)

    def sample(self, offer: Offer) -> bytes:
        """A picture that the kind takes.

        Raises:
            NothingTaken: with what it says against the last one.
            PluginError: the kind broke on one.
        """
        said = ""
        given = None if self.picture is None else [self.picture]
        for data in given or (draw() for draw in SAMPLES.values()):
            try:
                self.prepare(offer, data)
            except BadInput as error:
                said = str(error)
            else:
                return data
        raise NothingTaken(said)

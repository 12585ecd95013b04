"""The hooks: every question that dreamline asks its plugins.

Arguments may be added in later versions, never renamed or removed; an implementation names those it uses.
`docs/plugins.md` repeats each signature and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from core.cards import ModelCard
    from core.conditions import ConditionType
    from core.requests import Image, Preparation, Request, Score
    from core.settings import Settings

PROJECT = "dreamline"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class OnStep(Protocol):
    """Called after each denoising step; may raise `Stopped`, which the generator lets through.

    Steps are counted over all requests of the call, so that one can tell when it will end.
    """

    def __call__(self, step: int, steps: int) -> None: ...


class Generator(Protocol):
    """Makes images. Building one is cheap: weights are loaded at the first call of `generate`.

    `id` names the code that decides the pixels and its version (`dreamo/1`); it is part of every job's key.
    """

    id: str

    def generate(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Preparation]],
        on_step: OnStep | None = None,
    ) -> Iterator[Image]:
        """Yields one image per request, in order.

        Each is a function of its own request and preparations alone, whatever shares the batch or ran before.

        Args:
            requests: of one model; they may differ in everything else.
            references: for each request, the preparations of its references, in order.
            on_step: progress and cancellation.

        Raises:
            WeightsMissing: files of the model are not here.
            OutOfMemory: a smaller batch may fit.
            Stopped: raised by `on_step`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a campaign, told after it was committed.

    `kind` is one of planned, started, paused, resumed, stopped (by a rule), piloted (its pilot is made), finished,
    cancelled, retried, decided.
    """

    kind: str
    campaign: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the dashboard's single-image page: a title and a function that draws with Streamlit.

    `draw` gets the asset's facts as plain data; it is imported and called in the dashboard's process only.
    """

    title: str
    draw: Any


@hookspec
def condition_types() -> Sequence[ConditionType[Any]]:  # type: ignore[empty-body]
    """The kinds of reference that this plugin offers. A name offered twice is an error naming both plugins.

    .. versionadded:: 0.1
    """


@hookspec(firstresult=True)
def make_generator(card: ModelCard, settings: Settings, device: str) -> Generator | None:
    """A generator for the model card, or None to leave it to others; dreamline's own come last.

    Called when planning too, for the generator's id: it must be cheap and import nothing heavy.

    .. versionadded:: 0.1
    """


@hookspec
def before_generate(request: Request) -> Mapping[str, Any] | None:
    """Fields of the request to change, by name, or None. Runs when the work is planned.

    Two plugins that change one field are an error; what is changed is recorded with the job.

    .. versionadded:: 0.1
    """


@hookspec
def score_image(
    image: Image, request: Request, references: Sequence[Preparation], settings: Settings
) -> Sequence[Score] | None:
    """Scores of a finished image. Runs on the worker that made it.

    `references` are the request's references as the model saw them, in order: what fidelity is held against.
    `settings` say where weights lie. One plugin's scores bear different names.

    .. versionadded:: 0.1
    """


@hookspec
def hold_back(image: Image, request: Request, settings: Settings) -> str | None:
    """Why a finished image must not be shown before a person asks for it; None where nothing speaks against it.

    The place for a safety filter. Runs on the worker that made the image; what is held back is kept, and left out
    of what is to be reviewed and of what is written. An implementation that raises holds its images back.

    .. versionadded:: 0.1
    """


@hookspec
def review_panels() -> Sequence[Panel]:  # type: ignore[empty-body]
    """Panels for the dashboard's single-image page.

    .. versionadded:: 0.1
    """


@hookspec
def campaign_changed(event: Event) -> None:
    """Tells observers what happened, after it was committed; a failure is logged and changes nothing.

    .. versionadded:: 0.1
    """


@hookspec
def register_commands(cli: click.Group) -> None:
    """Adds commands to `dreamline`.

    .. versionadded:: 0.1
    """

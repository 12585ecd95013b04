"""Watching a training run: what is shown of it - a bar, plain lines or JSON - and how it is stopped."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import click

from core.errors import Stopped

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from core.training.loop import Length, Progress
    from core.training.recipes import Recipe, Stage

Manner = Literal["bar", "lines", "json"]
NOT_SHOWN = ("norm", "rate", "loss")
DECODER_EVERY = 20
"""Steps of the decoder between two lines."""


@dataclass
class Watch:
    """Between a run and a person. `stage` is told by whoever begins one.

    Attributes:
        asked: whether somebody wants the run to stop.
    """

    recipe: Recipe
    manner: Manner
    bar: Bar | None = None
    asked: bool = False
    stage: Stage | None = None
    before: tuple[int, float] = (0, 0.0)
    tasks: dict[str, Any] = field(default_factory=dict)

    def stop(self) -> bool:
        """Whether to stop: what a run asks before each step."""
        return self.asked

    def begin(self, stage: Stage) -> None:
        """A stage begins or goes on."""
        self.stage, self.before = stage, (0, 0.0)
        self.say(f"{self.heading()}: {', '.join(f'{task} {share:.0%}' for task, share in stage.tasks)}")

    def heading(self) -> str:
        """`stage 2 of 4, warm-up`."""
        assert self.stage is not None
        return f"stage {self.recipe.stages.index(self.stage) + 1} of {len(self.recipe.stages)}, {self.stage.name}"

    def shown(self, progress: Progress, length: Length, figures: dict[str, float]) -> None:
        """A report of the loop.

        Raises:
            Stopped: somebody asked for it.
        """
        assert self.stage is not None
        share = progress.share(length)
        samples, seconds = progress.samples - self.before[0], progress.seconds - self.before[1]
        speed = (
            samples / seconds if self.before[1] and seconds > 0 else progress.samples / max(1e-9, progress.seconds)
        )
        self.before = (progress.samples, progress.seconds)
        left = seconds_left(self.recipe, self.stage, progress, share)
        told = {
            "stage": self.stage.name,
            "number": self.recipe.stages.index(self.stage) + 1,
            "of": len(self.recipe.stages),
            "share": round(share, 4),
            "step": progress.step,
            "samples": progress.samples,
            "samples_per_second": round(speed, 2),
            "seconds_left": round(left, 1),
            **{name: round(value, 6) for name, value in figures.items()},
        }
        words = f"{progress.samples:,} samples, {speed:.1f}/s, {losses(figures)}, {clock(left)} left"
        self.tell(told, self.heading(), share, words)
        self.obey()

    def decoding(self, step: int, loss: float) -> None:
        """A step of the decoder.

        Raises:
            Stopped: somebody asked for it.
        """
        steps = getattr(self.recipe.base, "decoder_steps", 0)
        if (step + 1) % DECODER_EVERY == 0 or step + 1 == steps:
            told = {
                "stage": "decoder",
                "share": round((step + 1) / steps, 4),
                "step": step + 1,
                "loss": round(loss, 6),
            }
            self.tell(told, "decoder", (step + 1) / steps, f"loss {loss:.4f}")
        self.obey()

    def obey(self) -> None:
        """Raises Stopped where somebody asked for it."""
        if self.asked:
            raise Stopped("asked to stop")

    def tell(self, told: Mapping[str, Any], heading: str, share: float, words: str) -> None:
        """One report, in the manner chosen."""
        if self.manner == "json":
            click.echo(json.dumps(told))
        elif self.bar is None:
            click.echo(f"{heading}: {share:.0%}, {words}", err=True)
        else:
            if heading not in self.tasks:
                self.tasks[heading] = self.bar.add_task(heading, total=1.0, words="")
            self.bar.update(self.tasks[heading], completed=share, words=words)

    def say(self, text: str) -> None:
        """A line for people."""
        if self.manner == "json":
            return
        if self.bar is not None:
            self.bar.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)


def seconds_left(recipe: Recipe, stage: Stage, progress: Progress, share: float) -> float:
    """Until the last stage is done, at this stage's speed."""
    at = recipe.stages.index(stage)
    later = sum(one.share for one in recipe.stages[at + 1 :])
    waiting = (1 - share) * stage.share + later
    if recipe.minutes is not None:
        return 60 * recipe.minutes * waiting
    return (recipe.steps or 0) * waiting * progress.seconds / max(1, progress.step)


def losses(figures: Mapping[str, float]) -> str:
    """`loss 0.1234 (diffusion 0.1000, R 0.2340)`."""
    parts = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if name not in NOT_SHOWN)
    return f"loss {figures.get('loss', float('nan')):.4f}" + (f" ({parts})" if parts else "")


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@contextlib.contextmanager
def watching(recipe: Recipe, *, as_json: bool) -> Iterator[Watch]:
    """A watch that hears Ctrl-C and SIGTERM: the first asks to stop, the second interrupts at once."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    shows = console.is_terminal and not as_json
    watch = Watch(recipe, "json" if as_json else "bar" if shows else "lines")

    def hear(number: int, frame: FrameType | None) -> None:
        if watch.asked:
            raise KeyboardInterrupt
        watch.asked = True
        click.echo("Stopping: a checkpoint is written first. Once more stops at once.", err=True)

    heard = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[words]}"),
    )
    try:
        with Progress(*columns, console=console, disable=not shows) as bar:
            watch.bar = bar if shows else None
            yield watch
    finally:
        for number, before in heard.items():
            signal.signal(number, before)

"""The training loop: draw, predict, judge, step - for one stage, on one device or, by accelerate, on many."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import Stopped
from core.training.batches import Batch, Texts
from core.training.checkpoints import newest_checkpoint, save_checkpoint
from core.training.optimising import Average, exchange, optimisers, rate_factor, trainable
from core.training.recipes import Recipe, Stage
from core.training.trainee import Chances, Trainee
from core.training.words import Sayings

log = logging.getLogger("dreamline")

SAID_EVERY = 20
"""Steps between two lines of the journal."""


@dataclass
class Progress:
    """How far a stage has come.

    Attributes:
        step: within the stage.
        samples: seen by this stage, over all processes.
        seconds: spent training, without what was lost by a kill.
        warm: steps since the rates last rose from 0.
        damping: halved after each divergence.
    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    warm: int = 0
    damping: float = 1.0

    def share(self, length: Length) -> float:
        """How much of the stage is done, 0 to 1."""
        if length.steps is not None:
            return min(1.0, self.step / max(1, length.steps))
        return min(1.0, self.seconds / max(1e-9, length.seconds or 0.0))


@dataclass(frozen=True, slots=True)
class Length:
    """Of a stage: steps, or seconds."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, recipe: Recipe, stage: Stage) -> Length:
        if recipe.steps is not None:
            return cls(steps=max(1, round(recipe.steps * stage.share)))
        return cls(seconds=60 * (recipe.minutes or 0.0) * stage.share)


@dataclass
class Loop:
    """One stage being trained.

    Attributes:
        folder: of the stage: checkpoints and journal.
        batches: from a batch number on, for ever.
        accelerator: accelerate's; it knows devices and processes.
        shown: called with progress, losses and speed now and then.
        look: called with the step at each checkpoint, while the weights are their average.
        stop: asked before each step; where it says yes, a checkpoint is written and `Stopped` raised.
    """

    recipe: Recipe
    stage: Stage
    trainee: Trainee
    folder: Path
    batches: Callable[[int, int], Iterator[Batch | Sayings]]
    accelerator: Any
    shown: Callable[[Progress, Length, dict[str, float]], None] = lambda progress, length, figures: None
    stop: Callable[[], bool] = lambda: False
    look: Callable[[int], object] = lambda step: None
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.length = Length.of(self.recipe, self.stage)
        self.usual: float | None = None
        self.parameters: dict[str, nn.Parameter] = trainable(self.trainee, self.stage)
        self.module = self.accelerator.prepare_model(self.trainee)
        self.optimisers = optimisers(self.parameters, self.stage)
        self.average = Average(self.parameters, self.recipe.ema)
        state = newest_checkpoint(self.folder / "checkpoints")
        if state is not None:
            self.restore(state)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "progress": vars(self.progress).copy(),
            "parameters": {name: parameter.detach() for name, parameter in self.parameters.items()},
            "average": self.average.values,
            "count": self.average.count,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a state; one without optimisers (bare weights) lets the rates rise anew."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state["parameters"][name])
        self.average.values = {name: value.to(self.device) for name, value in state["average"].items()}
        self.average.count = state["count"]
        self.progress = Progress(**state["progress"])
        if "optimisers" in state:
            for optimiser, told in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(told)
        else:
            self.progress.warm = 0

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device

    def run(self) -> Progress:
        """Trains to the stage's end; weights are then the average.

        A loss that is no number throws the stage back to its last checkpoint, with half the rate.
        """
        start = self.state() if self.progress.step == 0 else None
        good = {key: _copied(value) for key, value in start.items()} if start else None
        stream, kept = self._stream(), time.monotonic()
        before = time.monotonic()
        recent: list[dict[str, float]] = []
        while self.progress.share(self.length) < 1:
            if self.stop():
                self.keep()
                raise Stopped(f"stage {self.stage.name}, step {self.progress.step}")
            figures = self.step([next(stream).to(self.device) for _ in range(self.recipe.together)])
            now = time.monotonic()
            self._count(now - before)
            before = now
            if not math.isfinite(figures["loss"]):
                self._throw_back(good)
                stream = self._stream()
                continue
            recent.append(figures)
            if self.progress.step % SAID_EVERY == 0 or self.progress.share(self.length) >= 1:
                self._say(recent)
                recent = []
            if now - kept > 60 * self.recipe.checkpoint_minutes:
                self.keep()
                kept = before = time.monotonic()
        self.keep()
        exchange(self.parameters, self.average)
        return self.progress

    def _count(self, seconds: float) -> None:
        """Adds a step's time; one that took ten times as long as usual met a sleeping machine."""
        if self.usual is not None and seconds > 10 * self.usual:
            seconds = self.usual
        if self.accelerator.num_processes > 1:
            seconds = float(self.accelerator.reduce(torch.tensor(seconds, device=self.device), "mean"))
        self.usual = seconds if self.usual is None else 0.9 * self.usual + 0.1 * seconds
        self.progress.seconds += seconds

    def step(self, batches: Sequence[Batch | Sayings]) -> dict[str, float]:
        """One step over some batches; gives the mean of each loss, the gradient's norm and the rate's factor."""
        one = self.progress
        sums: dict[str, list[Tensor]] = {}
        factor = rate_factor(one.warm, one.share(self.length), self.stage) * one.damping
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["most"] * factor
        process = self.accelerator.process_index
        for part, batch in enumerate(batches):
            chances = Chances.of(self.recipe.seed, one.step, part + process * len(batches))
            with self.accelerator.autocast():
                losses: dict[str, Tensor] = self.module(batch, self.stage, chances)
            self.accelerator.backward(losses["loss"] / len(batches))
            for name, loss in losses.items():
                sums.setdefault(name, []).append(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip)
        figures = {name: float(torch.stack(parts).mean()) for name, parts in sums.items()}
        figures |= {"norm": float(norm), "rate": factor}
        if math.isfinite(figures["norm"]):
            for optimiser in self.optimisers:
                optimiser.step()
            self.average.update(self.parameters)
        else:
            figures["loss"] = math.nan
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        one.step, one.warm = one.step + 1, one.warm + 1
        one.samples += sum(len(batch) for batch in batches) * self.accelerator.num_processes
        return figures

    def keep(self) -> None:
        """Writes a checkpoint; in the first process only."""
        if self.accelerator.is_main_process:
            save_checkpoint(self.state(), self.folder / "checkpoints", self.progress.step)
            exchange(self.parameters, self.average)
            self.look(self.progress.step)
            exchange(self.parameters, self.average)

    def _stream(self) -> Iterator[Batch | Sayings]:
        """From the batch that the next step needs."""
        many, each = self.accelerator.num_processes, self.recipe.together
        return self.batches(self.progress.step * each * many + self.accelerator.process_index, many)

    def _throw_back(self, start: dict[str, Any] | None) -> None:
        state = newest_checkpoint(self.folder / "checkpoints") or start
        if state is None:
            raise FloatingPointError(f"stage {self.stage.name}: the loss is no number, and there is no way back")
        damping, seconds = self.progress.damping / 2, self.progress.seconds
        if damping < 1 / 64:
            raise FloatingPointError(f"stage {self.stage.name}: the loss is no number, however small the rate")
        log.warning("stage %s, step %d: no number; back, with half the rate", self.stage.name, self.progress.step)
        self.restore(state)
        self.progress = replace(self.progress, damping=damping, seconds=seconds, warm=0)

    def _say(self, recent: Sequence[dict[str, float]]) -> None:
        """A line of the journal: means since the last one (a loss that only some batches have, over those)."""
        names = dict.fromkeys(name for figures in recent for name in figures)
        means = {
            name: sum(values) / len(values)
            for name in names
            if (values := [figures[name] for figures in recent if name in figures])
        }
        one = self.progress
        line = {
            "stage": self.stage.name,
            "step": one.step,
            "samples": one.samples,
            "seconds": round(one.seconds, 1),
        }
        line |= {name: round(value, 6) for name, value in means.items()}
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "journal.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self.shown(one, self.length, means)


def _copied(value: Any) -> Any:
    """A deep copy of nested dictionaries and lists of tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return value


def empty_texts(tokenizers: Any) -> Texts:
    """The ids of a prompt without words, one row."""
    clip, t5 = tokenizers.ids("")
    return Texts(t5, clip)

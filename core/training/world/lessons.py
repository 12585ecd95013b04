"""How readers learn: from drawings kept in memory, cut anew in every round.

Combinations that a generator never sees in training are among them: a reader that had not seen them would blame
the generator for its own surprise.

Shape suffixes: B pictures, H and W rows and columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from core.training.world.cuts import JPEG, SIZES, Box, column, compressed, cut, numbers, softened, swayed
from core.training.world.readers import (
    SUBJECTS,
    Accuracy,
    Reader,
    Readers,
    load_readers,
    new_readers,
    save_readers,
)
from core.training.world.reading import PERSON, PRODUCT, SCENE, matches, settled, truth_of, truth_of_scene
from core.training.world.samples import choose_scene
from core.training.world.scenes import Canvas, draw_scene
from core.training.world.truth import Product, Scene, World

TASKS = (
    *(("subject", 20), ("two-subjects", 16), ("three-subjects", 8), ("text", 10), ("identity", 12), ("tryon", 12)),
    *(("two-people", 8), ("two-garments", 5), ("style", 4), ("style-subject", 4), ("stylised-identity", 1)),
)
"""What is drawn for readers, with weights."""
UNSEEN = 0.25
"""Share of the drawings whose combinations are held out of a generator's training."""
CANVAS = Canvas(128, 128)
BATCH, RATE = 64, 3e-3
ROUNDS = {SCENE: 3, PRODUCT: 9, PERSON: 12}
ELSEWHERE = 0.4
"""Share of the single things that are looked at as if others stood beside them."""

Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A drawing and its truth."""

    picture: Image.Image
    scene: Scene


def draw_lessons(world: World, split: str, first: int, count: int) -> list[Lesson]:
    """Drawings of mixed tasks from number `first` on; `mixed` as a split stands for `train` and `held-out`."""
    names, weights = zip(*TASKS, strict=True)
    lessons = []
    for number in range(first, first + count):
        chance = Random(f"{world.name}/readers/{split}/{number}")
        task = chance.choices(names, weights)[0]
        kind = split if split != "mixed" else "held-out" if chance.random() < UNSEEN else "train"
        drawn = draw_scene(choose_scene(world, task, kind, chance), CANVAS)
        lessons.append(Lesson(drawn.picture, drawn.scene))
    return lessons


@dataclass(frozen=True, slots=True)
class Glance:
    """One thing to look at: whose, where, at which size."""

    lesson: Lesson
    box: Box
    size: tuple[int, int]
    labels: tuple[int, ...]


def glances(lessons: Sequence[Lesson], net: Reader, subject: str, chance: Random | None) -> list[Glance]:
    """Everything of that subject in the drawings; moved about where there is chance."""
    found = []
    for lesson in lessons:
        things = lesson.scene.things
        if subject == SCENE:
            box = column(SCENE, 0, 1)
            labels = labels_of(net, truth_of_scene(lesson.scene))
            found.append(Glance(lesson, box, SIZES[SCENE][0], labels))
            continue
        for index, placed in enumerate(things):
            if isinstance(placed.thing, Product) != (subject == PRODUCT):
                continue
            count = len(things)
            box = column(subject, index, count)
            if chance is not None and count == 1 and chance.random() < ELSEWHERE:
                count = 2
                box = beside(subject, placed.x)
            box = box if chance is None else swayed(box, chance)
            found.append(Glance(lesson, box, SIZES[subject][count - 1], labels_of(net, truth_of(placed.thing))))
    return found


def beside(subject: str, x: float) -> Box:
    """A column of two around `x`; high, as a single product is larger than one of two."""
    left, upper, right, lower = column(subject, 0, 2)
    start = min(max(x - (right - left) / 2, 0.0), 1 - (right - left))
    return start, min(upper, 0.15), start + right - left, lower


def labels_of(net: Reader, truth: dict[str, str | None]) -> tuple[int, ...]:
    """The position of each attribute's true value; -1 where there is none."""
    return tuple(-1 if truth[name] is None else known.index(truth[name]) for name, known in net.values.items())


def batches(found: list[Glance], chance: Random) -> list[list[Glance]]:
    """Shuffled, of one size each."""
    by_size: dict[tuple[int, int], list[Glance]] = defaultdict(list)
    for glance in found:
        by_size[glance.size].append(glance)
    made = []
    for alike in by_size.values():
        chance.shuffle(alike)
        made += [alike[start : start + BATCH] for start in range(0, len(alike), BATCH)]
    chance.shuffle(made)
    return made


def seen(batch: list[Glance], chance: Random) -> Tensor:
    """What is seen of a batch, softened."""
    cuts = [cut(glance.lesson.picture, glance.box, glance.size) for glance in batch]
    return softened(numbers([compressed(one, chance) if chance.random() < JPEG else one for one in cuts]), chance)


def loss_of(scores: list[Tensor], labels_BA: Tensor) -> Tensor:
    """Mean cross entropy over the attributes that show."""
    parts = [
        functional.cross_entropy(one, labels_BA[:, i], ignore_index=-1, reduction="sum")
        / (labels_BA[:, i] >= 0).sum().clamp(min=1)
        for i, one in enumerate(scores)
    ]
    return torch.stack(parts).mean()


def train(net: Reader, subject: str, lessons: Sequence[Lesson], rounds: int, chance: Random, said: Said) -> None:
    """One network; the rate rises for a tenth of the steps and falls to 0."""
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    steps = rounds * len(batches(glances(lessons, net, subject, Random(0)), Random(0))) + rounds
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    net.train()
    for turn in range(rounds):
        total, made = 0.0, batches(glances(lessons, net, subject, chance), chance)
        for batch in made:
            labels_BA = torch.tensor([glance.labels for glance in batch])
            loss = loss_of(net(seen(batch, chance)), labels_BA)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if schedule.last_epoch < steps - 1:
                schedule.step()
            total += loss.item()
        said(f"{subject}: round {turn + 1} of {rounds}, loss {total / max(len(made), 1):.4f}")
    net.eval()


def measure(readers: Readers, lessons: Sequence[Lesson]) -> dict[str, dict[str, Accuracy]]:
    """How often each attribute is read right on drawings, apart for plain and other styles."""
    counted: dict[tuple[str, str, bool], list[bool]] = defaultdict(list)
    for subject in SUBJECTS:
        net = readers.nets[subject]
        for batch in batches(glances(lessons, net, subject, None), Random(0)):
            readings = net.read(numbers([cut(one.lesson.picture, one.box, one.size) for one in batch]))
            for glance, reading in zip(batch, readings, strict=True):
                truth = {
                    name: None if k < 0 else known[k]
                    for (name, known), k in zip(net.values.items(), glance.labels, strict=True)
                }
                of = reading if subject == SCENE else settled(reading)
                for name, right in matches(of, truth, tuple(truth)).items():
                    counted[subject, name, glance.lesson.scene.style == "plain"].append(right)
    return {
        subject: {
            name: Accuracy(
                share(counted[subject, name, True]),
                len(counted[subject, name, True]),
                share(counted[subject, name, False]) if counted[subject, name, False] else None,
            )
            for name in readers.nets[subject].values
        }
        for subject in SUBJECTS
    }


def share(right: Sequence[bool]) -> float:
    """The share of what is true; 0 of nothing."""
    return round(sum(right) / len(right), 4) if right else 0.0


def train_readers(
    world: World,
    folder: Path,
    *,
    pictures: int = 24_000,
    seed: int = 0,
    rounds: dict[str, int] | None = None,
    unseen: int = 2_000,
    said: Said = lambda text: None,
) -> Readers:
    """Draws, trains the three networks, measures them on `unseen` new drawings and writes them into `folder`."""
    chance = Random(f"readers/{seed}")
    readers = new_readers(world, seed)
    said(f"drawing {pictures} pictures")
    lessons = draw_lessons(world, "mixed", seed * 10_000_000, pictures)
    for subject in SUBJECTS:
        train(readers.nets[subject], subject, lessons, (rounds or ROUNDS)[subject], chance, said)
    save_readers(readers, folder)
    kept = load_readers(folder)
    measured = replace(kept, accuracies=measure(kept, draw_lessons(world, "new", 0, unseen)))
    save_readers(measured, folder)
    return measured

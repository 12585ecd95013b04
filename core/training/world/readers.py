"""Readers: small networks, trained on drawings, that tell what a picture of the drawn world shows.

One network each for the whole picture, for a product and for a person. They see drawings alone, softened as a
generator might soften them, never a generator's own pictures; their mistakes on unseen drawings are the ceiling of
every measurement made with them.

Shape suffixes: B pictures, C channels, H and W rows and columns, A attributes, N positions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from core.errors import BadInput
from core.training.world.cuts import SIZES, columns
from core.training.world.reading import PERSON, PRODUCT, SCENE, settled, values_of
from core.training.world.truth import WORLDS, World

SUBJECTS = (SCENE, PRODUCT, PERSON)
FILE, FACTS = "readers.safetensors", "readers.json"
SHIPPED = Path(__file__).parent / "weights"
"""Trained readers that come along, in a folder for each world."""
TOGETHER = 64
"""Cuts that are read at a time."""


class Reader(nn.Module):
    """Convolutions, pooled three ways: mean, maximum, and for each attribute a look at where it is to be seen."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.values = dict(values)
        self.body = nn.Sequential(
            *stage(5, 24, 5, 2),
            *stage(24, 48, 3, 2),
            *stage(48, 96, 3, 2),
            *stage(96, 128, 3, 2),
            *stage(128, 96, 3, 1),
        )
        self.attention = nn.Conv2d(96, len(values), 1)
        self.heads = nn.ModuleList(nn.Linear(3 * 96, len(known)) for known in values.values())

    def forward(self, picture_B3HW: Tensor) -> list[Tensor]:
        """Scores of each attribute's values, (B, values), in the attributes' order."""
        seen_BCHW = self.body(with_places(picture_B3HW).contiguous(memory_format=torch.channels_last))
        seen_BCN = seen_BCHW.flatten(2)
        share_BAN = self.attention(seen_BCHW).flatten(2).softmax(2)
        looked_BAC = share_BAN @ seen_BCN.transpose(1, 2)
        pooled_BC = torch.cat([seen_BCN.mean(2), seen_BCN.amax(2)], 1)
        return [head(torch.cat([looked_BAC[:, i], pooled_BC], 1)) for i, head in enumerate(self.heads)]

    @torch.inference_mode()
    def read(self, picture_B3HW: Tensor) -> list[dict[str, str]]:
        """The likeliest value of every attribute, for each picture."""
        found = []
        for part_B3HW in picture_B3HW.split(TOGETHER):
            best = [scores.argmax(1).tolist() for scores in self(part_B3HW)]
            found += [
                {name: known[k] for (name, known), k in zip(self.values.items(), row, strict=True)}
                for row in zip(*best, strict=True)
            ]
        return found


def stage(before: int, after: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    """A convolution, normalised."""
    return nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.GroupNorm(4, after), nn.ReLU()


def with_places(picture_B3HW: Tensor) -> Tensor:
    """Two channels more: how far across and how far down, -1 to 1."""
    batch, _, height, width = picture_B3HW.shape
    down = torch.linspace(-1, 1, height)[None, None, :, None].expand(batch, 1, height, width)
    across = torch.linspace(-1, 1, width)[None, None, None, :].expand(batch, 1, height, width)
    return torch.cat([picture_B3HW, across, down], 1)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share read right on unseen drawings, of how many; `styled` among those drawn in no plain style."""

    plain: float
    count: int
    styled: float | None = None


@dataclass(frozen=True)
class Readers:
    """The three networks of one world.

    Attributes:
        accuracies: by subject and attribute, on drawings of the split `new`.
    """

    world: World
    nets: Mapping[str, Reader]
    accuracies: Mapping[str, Mapping[str, Accuracy]] = field(default_factory=dict)

    def scene(self, picture: Image.Image) -> dict[str, str | None]:
        """Place, time, style, the number of things (`count`), and of a single thing its `side`."""
        return self.scenes([picture])[0]

    def scenes(self, pictures: Sequence[Image.Image]) -> list[dict[str, str | None]]:
        """As `scene`, of many."""
        if not pictures:
            return []
        readings = self.nets[SCENE].read(columns(pictures, SCENE, 1))
        return [{**reading, "side": reading["side"] if reading["count"] == "1" else None} for reading in readings]

    def products(self, picture: Image.Image, count: int) -> list[dict[str, str | None]]:
        """Kind, colours, pattern and emblem of `count` products, from left to right."""
        return self.things([picture], PRODUCT, count)[0]

    def people(self, picture: Image.Image, count: int) -> list[dict[str, str | None]]:
        """Face, garment and pose of `count` people, from left to right."""
        return self.things([picture], PERSON, count)[0]

    def things(
        self, pictures: Sequence[Image.Image], subject: str, count: int
    ) -> list[list[dict[str, str | None]]]:
        """As `products` or `people`, of many pictures that each show `count` of them.

        Raises:
            BadInput: more things than readers can tell apart.
        """
        if not 0 <= count <= len(SIZES[subject]):
            raise BadInput.at("count", f"{count} things can't be read", f"Ask for 0 to {len(SIZES[subject])}")
        if not pictures or not count:
            return [[] for _ in pictures]
        readings = [settled(reading) for reading in self.nets[subject].read(columns(pictures, subject, count))]
        return [readings[start : start + count] for start in range(0, len(readings), count)]


def new_readers(world: World, seed: int = 0) -> Readers:
    """Readers that have learnt nothing."""
    torch.manual_seed(seed)
    nets = {subject: Reader(values_of(world, subject)) for subject in SUBJECTS}
    return Readers(world, {name: net.to(memory_format=torch.channels_last) for name, net in nets.items()})  # type: ignore[call-overload]


def save_readers(readers: Readers, folder: Path) -> None:
    """Writes weights (half precision) and facts into a folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{subject}.{name}": tensor.half().contiguous().clone()
        for subject, net in readers.nets.items()
        for name, tensor in net.state_dict().items()
    }
    save_file(tensors, folder / FILE)
    facts = {
        "world": readers.world.name,
        "values": {subject: net.values for subject, net in readers.nets.items()},
        "accuracies": {
            subject: {name: asdict(one) for name, one in found.items()}
            for subject, found in readers.accuracies.items()
        },
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def load_readers(folder: Path) -> Readers:
    """Reads what `save_readers` wrote.

    Raises:
        BadInput: there are none, or they are of another world than the one that is drawn now.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = load_file(folder / FILE)
        world = WORLDS[facts["world"]]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise BadInput.at(str(folder), f"holds no readers ({error})", "Train readers into it") from error
    readers = new_readers(world)
    known = {subject: {name: list(of) for name, of in net.values.items()} for subject, net in readers.nets.items()}
    if known != facts["values"]:
        raise BadInput.at(str(folder), "holds readers of another world", "Train readers anew")
    for subject, net in readers.nets.items():
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{subject}.")}
        net.load_state_dict({name.partition(".")[2]: tensor.float() for name, tensor in own.items()})
        net.eval()
    accuracies = {
        subject: {name: Accuracy(**one) for name, one in found.items()}
        for subject, found in facts["accuracies"].items()
    }
    return Readers(world, readers.nets, accuracies)

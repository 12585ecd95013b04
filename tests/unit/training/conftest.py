"""What the tests of training share: a nano base, a batch of each task, and a run of a few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from core.training.autoencoder import PatchEncoder
from core.training.base_model import Base, build_base, read_base, save_base
from core.training.batches import Batch
from core.training.drawing import Drawing
from core.training.recipes import NewBase, Recipe
from core.training.shipped_recipes import nano
from core.training.world.captions import caption_words
from core.training.world.truth import SMALL


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_precision() -> Iterator[None]:
    """accelerate keeps the precision of a process's first run: the next one may have another."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Nano, drawn in the process itself."""
    return replace(nano(), drawers=0)


@pytest.fixture(scope="session")
def nano_base(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A folder with an untrained nano base, whose blocks do something."""
    folder = tmp_path_factory.mktemp("base")
    assert isinstance(recipe.base, NewBase)
    torch.manual_seed(5)
    chance = torch.Generator().manual_seed(0)
    base = build_base(
        recipe.base, caption_words(SMALL), 2 * torch.rand(40, 3, 64, 64, generator=chance) - 1, folder
    )
    with torch.no_grad():
        for parameter in base.transformer.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=chance))
    save_base(base, folder, torch.float32)
    return folder


@pytest.fixture
def base(nano_base: Path, recipe: Recipe) -> Base:
    assert isinstance(recipe.base, NewBase)
    return read_base(nano_base, recipe.base.text.length)


@pytest.fixture(scope="session")
def batch_of(nano_base: Path, recipe: Recipe) -> Callable[[str], Batch]:
    """The first batch of a task."""
    assert isinstance(recipe.base, NewBase)
    encoder = PatchEncoder.read(read_base(nano_base, 40).vae)
    assert encoder is not None
    drawing = Drawing.of(recipe, (("subject", 1.0),), nano_base, recipe.base.text.length, encoder, Path("unused"))
    made: dict[str, Batch] = {}

    def get(task: str) -> Batch:
        if task not in made:
            made[task] = drawing.draw(task, 0)
        return made[task]

    return get

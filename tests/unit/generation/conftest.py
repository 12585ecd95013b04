"""What the tests of generation share: the golden checkpoint laid out as people have it, and its cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.cards import ModelCard, load_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


@dataclass(frozen=True)
class Case:
    """One call of the published pipeline, as a request of ours, with what came out."""

    name: str
    card: str
    request: Request
    references: list[Preparation]
    latent: Any
    image: Any


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the published repositories, holding the golden checkpoint under published names."""
    folder = tmp_path_factory.mktemp("models")
    for repository, source in (
        ("black-forest-labs/FLUX.1-dev", "base"),
        ("ByteDance/DreamO", "adapters"),
        ("alimama-creative/FLUX.1-Turbo-Alpha", "adapters"),
    ):
        place = folder / repository
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(GOLDEN / source)
    return folder


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"), models=models, device="cpu")


@pytest.fixture
def own_settings(tmp_path: Path, models: Path) -> Settings:
    """With a home of its own: nothing is cached."""
    return Settings(home=tmp_path / "home", models=models, device="cpu")


@pytest.fixture(scope="session")
def generators(settings: Settings) -> Callable[[str], DreamO]:
    """A generator of a shipped card by name, loaded once."""
    made: dict[str, DreamO] = {}

    def get(name: str) -> DreamO:
        if name not in made:
            made[name] = DreamO(load_card(name, settings), settings, "cpu")
        return made[name]

    return get


@pytest.fixture
def dreamo(generators: Callable[[str], DreamO]) -> DreamO:
    return generators("dreamo-v1.1")


@pytest.fixture
def card(settings: Settings) -> ModelCard:
    return load_card("dreamo-v1.1", settings)


@pytest.fixture(scope="session")
def ask() -> Callable[..., tuple[Request, list[Preparation]]]:
    """A small request with random references of the given sizes (width, height)."""

    def make(*sizes: tuple[int, int], **changes: Any) -> tuple[Request, list[Preparation]]:
        prepared = [picture(width, height, seed) for seed, (width, height) in enumerate(sizes)]
        references = tuple(Reference(f"r{k}", "subject", f"{k:064x}") for k in range(len(sizes)))
        request = Request("dreamo-v1.1", "a dog on the beach", references, 64, 64, 5, 3, 4.5)
        return replace(request, **changes), prepared

    return make


def picture(width: int, height: int, seed: int) -> Preparation:
    import numpy as np
    from PIL import Image

    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Preparation(Image.fromarray(levels))


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    import numpy as np

    found = {}
    given, more = np.load(GOLDEN / "golden.npz"), np.load(GOLDEN / "more.npz")
    for told in json.loads((GOLDEN / "golden.json").read_text()):
        call = told["call"]
        fields = {
            "steps": call["num_inference_steps"],
            "guidance": call["guidance_scale"],
            "first_step_guidance": call["first_step_guidance_scale"],
            **{key: call[key] for key in ("prompt", "width", "height")},
        }
        found[told["key"]] = case_of(told, fields, given, len(told["tasks"]))
    for told in json.loads((GOLDEN / "more.json").read_text()):
        names = {
            "first": "first_step_guidance",
            "true_cfg": "true_cfg",
            "start": "true_cfg_start",
            "end": "true_cfg_end",
            "neg": "negative_prompt",
            "neg_guidance": "negative_guidance",
            **{key: key for key in ("prompt", "width", "height", "steps", "guidance")},
        }
        fields = {name: told[key] for key, name in names.items() if key in told}
        found[told["key"]] = case_of(told, fields, more, told["references"])
    return found


def case_of(told: dict[str, Any], fields: dict[str, Any], arrays: Any, count: int) -> Case:
    from PIL import Image

    key = told["key"]
    card = f"dreamo-{told['version']}" + ("" if told["turbo"] else "-plain")
    pictures = [Preparation(Image.fromarray(arrays[f"{key}/ref{k}"])) for k in range(1, count + 1)]
    references = tuple(Reference(f"r{k}", "subject", f"{k:064x}") for k in range(count))
    request = Request(model=card, references=references, seed=told["seed"], **fields)
    return Case(key, card, request, pictures, arrays[f"{key}/latent"], arrays[f"{key}/image"])

"""Are a card's files whole? Every tensor's name, shape and finiteness, before a GPU is touched.

Names and shapes are held against models built without memory (on torch's meta device); numbers are read file by
file, one tensor at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.cards import Adapter, ModelCard
from core.errors import BadInput, Problem
from core.generation.files import (
    COMPONENTS,
    ModelFile,
    adapter_file,
    base_folder,
    card_files,
    file_hash,
    missing_message,
    weight_files,
)
from core.generation.model import read_schedule, read_tokenizers
from core.generation.names import EMBEDDINGS, INDEX, PLACEHOLDERS, TASK, pairs_of
from core.generation.weights import pair_problems
from core.settings import Settings

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        files: for each file that is here, by name, its sha256 and its size in bytes.
        problems: everything that is wrong; none means that the model can be used.
        missing: one message about files that are not here; empty when all are.
        parameters: numbers in the base's transformer, and those that the adapters hold.
    """

    files: Mapping[str, tuple[str, int]]
    problems: tuple[Problem, ...]
    missing: str = ""
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.problems and not self.missing


def check_card(card: ModelCard, settings: Settings, told: Callable[[str], None] = lambda name: None) -> Report:
    """Checks and hashes every file of a card; `told` is called with each file's name before it is read."""
    here: list[ModelFile] = []
    missing: list[ModelFile] = []
    try:
        files = card_files(card, settings)
    except BadInput as error:
        return Report({}, tuple(error.problems))
    for file in files:
        (here if file.path.is_file() else missing).append(file)
    hashes = {}
    notes = settings.home / "cache" / "hashes"
    for file in here:
        told(file.name)
        hashes[file.name] = (file_hash(file.path, notes), file.path.stat().st_size)
    if missing:
        return Report(hashes, (), missing_message(card, missing))
    problems: list[Problem] = []
    shapes: dict[str, dict[str, Shape]] = {}
    base = base_folder(card, settings)
    for component in COMPONENTS:
        shapes[component] = _expected(base / component, problems)
        problems.extend(_component_problems(base / component, shapes[component]))
    problems.extend(_reading_problems(base, card))
    counts = {"transformer": _numbers(shapes["transformer"].values())}
    for adapter in card.adapters:
        file = adapter_file(adapter, card, settings)
        wrong = list(_adapter_problems(file, adapter, card, shapes))
        problems.extend(wrong)
        if not wrong:
            found = _headers(file.path).items()
            counts[file.name] = _numbers(shape for name, shape in found if name not in EMBEDDINGS)
    return Report(hashes, tuple(problems), "", counts)


def _reading_problems(base: Path, card: ModelCard) -> Iterator[Problem]:
    """What the generator's own readers say of the schedule and the tokenizers."""
    try:
        read_schedule(base)
    except BadInput as error:
        yield from error.problems
    try:
        read_tokenizers(base, card.text_tokens, placeholders=bool(card.embeddings))
    except BadInput as error:
        yield from error.problems


def _numbers(shapes: Iterable[Shape]) -> int:
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    return total


def _expected(folder: Path, problems: list[Problem]) -> dict[str, Shape]:
    """Names and shapes of a component's tensors, from its `config.json` alone."""
    try:
        module = _build(folder)
    except Exception as error:
        problems.append(Problem(f"{folder / 'config.json'}", f"can't be used ({error})", "Fetch it again"))
        return {}
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _build(folder: Path) -> Any:
    import torch
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        if folder.name == "transformer":
            return FluxTransformer2DModel.from_config(told)
        if folder.name == "vae":
            return AutoencoderKL.from_config(told)
        if folder.name == "text_encoder":
            return CLIPTextModel(CLIPTextConfig.from_dict(told))
        return T5EncoderModel(T5Config.from_dict(told))


def _headers(path: Path) -> dict[str, Shape]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _component_problems(folder: Path, expected: Mapping[str, Shape]) -> Iterator[Problem]:
    """Missing, unknown, misshapen and non-finite tensors of one component.

    CLIP's names may begin with `text_model.`, and T5's shared embedding stands in files once.
    """
    found: dict[str, tuple[Path, Shape]] = {}
    for path in weight_files(folder):
        try:
            headers = _headers(path)
        except Exception as error:
            yield Problem(str(path), f"is no safetensors file ({error})", "Fetch it again")
            return
        found.update({_plain(name): (path, shape) for name, shape in headers.items()})
        yield from _not_finite(path)
    if not expected:
        return
    wanted = {_plain(name): shape for name, shape in expected.items()}
    for name in sorted(wanted.keys() - found.keys() - SHARED):
        yield Problem(f"{folder}, tensor {name}", "is missing", "Fetch the folder again")
    for name, (path, shape) in sorted(found.items()):
        if name not in wanted and name not in SPARE:
            yield Problem(f"{path}, tensor {name}", "belongs to no layer", "It is another model's file")
        elif name in wanted and wanted[name] != shape:
            yield Problem(
                f"{path}, tensor {name}", f"is {shape}, not {wanted[name]}", "It is another model's file"
            )


SHARED = {"encoder.embed_tokens.weight"}
SPARE = {"embeddings.position_ids", "encoder.embed_tokens.weight"}


def _plain(name: str) -> str:
    return name.removeprefix("text_model.")


def _not_finite(path: Path) -> Iterator[Problem]:
    import torch
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            if tensor.itemsize == 1:
                tensor = tensor.float()  # torch tells of no float8 whether it is finite
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                yield Problem(
                    f"{path}, tensor {name}", "holds numbers that are not finite", "Fetch the file again"
                )


def _adapter_problems(
    file: ModelFile, adapter: Adapter, card: ModelCard, shapes: Mapping[str, Mapping[str, Shape]]
) -> Iterator[Problem]:
    where = str(file.path)
    try:
        headers = _headers(file.path)
    except Exception as error:
        yield Problem(where, f"is no safetensors file ({error})", "Fetch it again")
        return
    holds_embeddings = adapter.file == card.embeddings
    if holds_embeddings:
        yield from _embedding_problems(where, headers, shapes)
    names = [name for name in headers if not (holds_embeddings and name in EMBEDDINGS)]
    try:
        pairs = pairs_of(names, where, adapter.naming)
    except BadInput as error:
        yield from error.problems
        return
    wrong = list(pair_problems(pairs, headers, where))
    if wrong:
        yield from wrong
        return
    transformer = shapes["transformer"]
    for pair in pairs:
        down, up = headers[pair.down], headers[pair.up]
        for target in pair.targets:
            if target not in transformer:
                yield Problem(f"{where}, tensor {pair.up}", f"the base has no weight {target}", OTHER_BASE)
            elif (up[0] / len(pair.targets), down[1]) != transformer[target]:
                text = f"changes {target} by {up} x {down}, which is {transformer[target]}"
                yield Problem(f"{where}, tensor {pair.up}", text, OTHER_BASE)
    yield from _not_finite(file.path)


OTHER_BASE = "The adapter belongs to another base model"


def _embedding_problems(
    where: str, headers: Mapping[str, Shape], shapes: Mapping[str, Mapping[str, Shape]]
) -> Iterator[Problem]:
    width = shapes["transformer"].get("x_embedder.weight", (0,))[0]
    text = shapes["text_encoder_2"].get("shared.weight", (0, 0))[1]
    wanted = {TASK: (2, width), INDEX: (10, width), PLACEHOLDERS: (10, text)}
    for name, (rows, columns) in wanted.items():
        shape = headers.get(name)
        if shape is None:
            yield Problem(f"{where}, tensor {name}", "is missing", "Fetch the file again")
        elif len(shape) != 2 or shape[0] < rows or shape[1] != columns:
            yield Problem(f"{where}, tensor {name}", f"is {shape}, not {(rows, columns)}", OTHER_BASE)

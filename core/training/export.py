"""A finished run as a model that can be shipped: a card, its base beside it, DreamO's file, how it was trained.

    NAME.toml
    NAME/transformer, vae, text_encoder, text_encoder_2, tokenizer, tokenizer_2, scheduler, dreamo.safetensors
    NAME/training.json

`core.generation` reads the card like any other. A run on a base that it was given brings no base of its own: its
card names that one.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.cards import read_card
from core.errors import BadInput, Infrastructure
from core.generation.model import quiet
from core.generation.sequence import PIXELS_PER_TOKEN
from core.training.adapter import save_adapter
from core.training.autoencoder import PatchEncoder
from core.training.data.entries import kinds_of
from core.training.journal import JOURNAL, read_journal
from core.training.recipe_files import plain_recipe
from core.training.recipes import NewBase, Recipe, Sizes
from core.training.runs import TRAINING, Run

TITLE = "dreamline's own small DreamO, for examples, demos and tests"

PART = 32_000_000
"""Bytes that no file of a model with a base of its own may exceed."""

SHARD = "30MB"
"""Larger transformers are split, as diffusers does it."""

NOTICE = (
    "{name} was trained on the drawn world alone: it knows its products, garments, people and places, and nothing "
    "else. It shows how dreamline works; it makes no photographs."
)
COPIED = ("tokenizer", "tokenizer_2", "scheduler")
AGREEMENT = 0.01
"""Most that a latent, whose variance is 1, may change where the autoencoder is written in half precision."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Defaults of a card: how its images are made unless a request says otherwise."""

    steps: int = 12
    guidance: float = 3.5
    true_cfg: float = 1.0
    negative_guidance: float = 3.5


def export_model(
    run: Run,
    folder: Path,
    name: str = "dreamo-mini",
    title: str = TITLE,
    sampling: Sampling | None = None,
) -> Path:
    """Writes the folder, whole or not at all; an earlier export of this name in it is replaced.

    Returns:
        The card's path.

    Raises:
        BadInput: the run is not finished, the folder holds something else, or a file is too large.
        Infrastructure: the disk is full or failed.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise BadInput.at("name", f"{name!r} can't name a model", "Use small letters, digits, dots and hyphens")
    require_finished(run)
    require_free(folder, name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            write_model(run, making, name, title, sampling or usual_sampling(run.recipe))
            # Made for their owner alone: a model is for everybody who may read the folder above.
            for path in (making, *making.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            put(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        raise Infrastructure(f"{folder} can't be written ({error}): make room, or name another folder") from error
    return folder / f"{name}.toml"


def require_finished(run: Run) -> None:
    """Raises BadInput where a stage is missing, or what the stages leave behind."""
    waiting = [stage.name for stage in run.recipe.stages if not run.finished(stage)]
    mend = f"`dreamline train resume {run.folder}` goes on"
    if waiting:
        raise BadInput.at(str(run.folder), f"has stages that are not finished: {', '.join(waiting)}", mend)
    if not run.adapter_file.is_file():
        raise BadInput.at(str(run.adapter_file), "is missing", "Give the recipe a stage that trains an adapter")


def require_free(folder: Path, name: str) -> None:
    """Raises BadInput where the folder holds anything but an export of this name."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} - {name, f"{name}.toml"}:
        raise BadInput.at(str(folder), "holds other files", "Name an empty folder or a new one")


def put(made: Path, folder: Path) -> None:
    """Renames what was made into place; what was there goes only after that."""
    old = made.with_name(f"{made.name}-old")
    if folder.exists():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_model(run: Run, folder: Path, name: str, title: str, sampling: Sampling) -> None:
    """Everything, into an empty folder."""
    from safetensors.torch import load_file

    place = folder / name
    place.mkdir()
    own = isinstance(run.recipe.base, NewBase)
    if own:
        write_base(run.base_folder, place)
    save_adapter(load_file(run.adapter_file), place / "dreamo.safetensors")
    text = json.dumps(training_of(run), indent=1) + "\n"
    (place / TRAINING).write_text(text, encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_text(card_text(run, name, title, sampling), encoding="utf-8")
    read_card(path)
    if own:
        require_small(place)


def write_base(base: Path, place: Path) -> None:
    """The base again: transformer and text encoders in bfloat16, the autoencoder as its encoder allows."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel, T5EncoderModel

    from core.generation.transformer import DreamOTransformer

    for part in COPIED:
        shutil.copytree(base / part, place / part)
    here = {"local_files_only": True}
    with quiet():
        vae = AutoencoderKL.from_pretrained(base / "vae", torch_dtype=torch.float32, **here)
        clip = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32, **here)
        t5 = T5EncoderModel.from_pretrained(base / "text_encoder_2", dtype=torch.float32, **here)
        transformer = DreamOTransformer.from_pretrained(base / "transformer", torch_dtype=torch.float32, **here)
        for part, module, precision in (
            ("transformer", transformer, torch.bfloat16),
            ("text_encoder", clip, torch.bfloat16),
            ("text_encoder_2", t5, torch.bfloat16),
            ("vae", vae, smallest_precision(vae)),
        ):
            cast(module, precision).save_pretrained(place / part, max_shard_size=SHARD, safe_serialization=True)
            forget_origin(place / part / "config.json")


def forget_origin(config: Path) -> None:
    """Takes out where diffusers says that weights were read from: the folder of a run means nothing elsewhere."""
    told = json.loads(config.read_text(encoding="utf-8"))
    told.pop("_name_or_path", None)
    config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def smallest_precision(vae: Any) -> torch.dtype:
    """The first of float16 and bfloat16 in which an autoencoder can be written and read back; else float32.

    Its encoder may cancel large constants, which half precision may not hold: latents have to stay what they were,
    and the encoder linear, so that training can go on from the written one.
    """
    chance = torch.Generator().manual_seed(0)
    smooth_B3HW = torch.nn.functional.interpolate(
        torch.rand(4, 3, 12, 12, generator=chance) * 2 - 1, size=(96, 96), mode="bilinear"
    )
    picture_B3HW = torch.cat([smooth_B3HW, torch.rand(2, 3, 96, 96, generator=chance) * 2 - 1])
    expected, linear = latents(vae, picture_B3HW), PatchEncoder.read(vae) is not None
    for precision in (torch.float16, torch.bfloat16):
        again = cast(cast(copy.deepcopy(vae), precision), torch.float32)
        found = latents(again, picture_B3HW)
        # NaN, from a weight that half precision can't hold, is not less than anything.
        if float((found - expected).abs().max()) < AGREEMENT and (
            not linear or PatchEncoder.read(again) is not None
        ):
            return precision
    return torch.float32


def cast(module: Any, precision: torch.dtype) -> Any:
    """The module in that precision, by torch's own method: diffusers' warns of layers that nobody named."""
    return torch.nn.Module.to(module, precision)


def latents(vae: Any, picture_B3HW: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = vae.encode(picture_B3HW).latent_dist.mode()
    return found


def require_small(place: Path) -> None:
    """Raises BadInput where a file is larger than `PART`, naming every large one."""
    sizes = {str(path.relative_to(place)): path.stat().st_size for path in place.rglob("*") if path.is_file()}
    large = [f"{name} {size / 1e6:.1f} MB" for name, size in sorted(sizes.items()) if size > PART]
    if large:
        mend = f"No file may exceed {PART / 1e6:.0f} MB: train a smaller base or a lower rank"
        raise BadInput.at(f"model {place.name}", f"is too large: {', '.join(large)}", mend)


def training_of(run: Run) -> dict[str, Any]:
    """How it was trained: the recipe, what each stage took, and the stages of the runs that it went on from.

    A run that went on from weights learnt no words: that stage is not among them.
    """
    stages = []
    for stage in run.recipe.stages:
        lines = read_journal(run.folder / stage.name / JOURNAL)
        if not lines:
            continue
        end = lines[-1]
        told = {"stage": stage.name, "steps": end["step"], "samples": end["samples"]}
        stages.append({**told, "hours": round(end["seconds"] / 3600, 4)})
    return {
        "recipe": plain_recipe(run.recipe),
        "stages": stages,
        "before": run.stages_before(),
        "torch": torch.__version__.partition("+")[0],
    }


def usual_sampling(recipe: Recipe) -> Sampling:
    """A small base of one's own has no guidance embedding: a second pass, without references, takes its place."""
    usual = Sampling(guidance=0.0, true_cfg=3.0, negative_guidance=0.0)
    own = usual if isinstance(recipe.base, NewBase) else Sampling()
    distil = recipe.stages[-1].distil
    return own if distil is None else replace(own, steps=distil.steps, true_cfg=1.0)


def card_text(run: Run, name: str, title: str, sampling: Sampling) -> str:
    """The card as TOML."""
    recipe = run.recipe
    own = isinstance(recipe.base, NewBase)
    sides = [side for size, _ in recipe.canvases for side in size]
    told: dict[str, Any] = {
        "name": name,
        "title": title,
        "generator": "dreamo",
        "base": name if own else given_base(run),
        "base_name": name,
        "embeddings": "dreamo.safetensors",
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "true_cfg": sampling.true_cfg,
        "negative_guidance": sampling.negative_guidance,
        "text_tokens": run.text_length,
        "area": usual_area(recipe.canvases),
        "sides": [min(sides), max(sides)],
        "grid": PIXELS_PER_TOKEN,
        "reference_area": usual_area(recipe.references),
        "max_references": most_references(recipe),
        "licence": "Apache-2.0" if own else "What is added: Apache-2.0. The base: its own licence",
        "purpose": "Examples, demos and tests" if own else "What the base's licence allows",
    }
    if own:
        told |= {"world": recipe.world, "notice": NOTICE.format(name=name)}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
    adapter = {"repository": name, "file": "dreamo.safetensors", "scale": 1.0, "naming": "published"}
    lines += ["", "[[adapters]]", *(f"{key} = {json.dumps(value)}" for key, value in adapter.items())]
    return "\n".join(lines) + "\n"


def given_base(run: Run) -> str:
    """A folder by its whole path, or a repository by its name."""
    return str(run.base_folder.resolve()) if run.base_folder.is_dir() else run.base_folder.as_posix()


def usual_area(sizes: Sizes) -> int:
    """Pixels of the size with the largest share."""
    (width, height), _ = max(sizes, key=lambda pair: pair[1])
    return width * height


def most_references(recipe: Recipe) -> int:
    """As many as any task of the recipe shows together."""
    shown = (task for stage in recipe.stages if stage.trains != "words" for task, _ in stage.tasks)
    return max((len(kinds_of(task)) for task in shown), default=1)

"""A run from nothing to a model: base, its decoder, DreamO's stages. Every part can be resumed.

A run's folder holds `recipe.json`, `base/` (diffusers' layout), `decoder/`, a folder for each stage (journal and
checkpoints), `adapter/dreamo.safetensors`, and `drawn/`, the kept batches, which may be deleted at any time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from core.cards import SHIPPED
from core.errors import BadInput
from core.training.adapter import Adapter, adapter_tensors, bare, load_adapter, save_adapter
from core.training.autoencoder import PatchEncoder, train_decoder
from core.training.base_model import Base, build_base, read_base, save_base, write_schedule
from core.training.checkpoints import clear_checkpoints
from core.training.computing import autocast, quicken
from core.training.distilling import Teacher
from core.training.drawing import Drawing, pixels
from core.training.loop import Length, Progress, empty_texts
from core.training.recipe_files import FILE, plain_recipe, read_recipe
from core.training.recipes import GivenBase, NewBase, Recipe, Stage
from core.training.stages import Shown, accelerator_for, train_in
from core.training.trainee import Trainee
from core.training.words import Listener, Speaker
from core.training.world.captions import caption_words
from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import WORLDS

ADAPTER = "dreamo.safetensors"
TRAINING, BEFORE = "training.json", "before.json"
"""How a model was trained: beside an exported one; in the folder of a run that goes on from it."""
OF_A_RUN = ("checkpoints", "previews", "journal.jsonl", "finished", TRAINING, ADAPTER)
"""What may stand beside a base's weights and is no part of the base."""

NEW = ("words", "base")
"""What may be trained of a base that is not there yet."""

DECODER_TASKS = ("subject", "tryon", "identity", "text", "style", "two-subjects")
KEPT_WEIGHTS: Mapping[str, Path] = dict.fromkeys(("mini", "mini-turbo"), SHIPPED / "dreamo-mini")
"""By recipe: the shipped model that a next run can go on from."""

DECODER_PICTURES = 4000
CROP = 64
"""How many pictures the decoder learns from, and pixels a side of what it sees of them."""


def silent(progress: Progress, length: Length, figures: dict[str, float]) -> None:
    """Shows nothing."""


@dataclass
class Run:
    """One recipe in one folder. `train` goes on wherever it stopped.

    Attributes:
        drawn: where drawn batches are kept, for runs that share them; None: in the folder.
    """

    recipe: Recipe
    folder: Path
    shown: Shown = silent
    device: str = "cpu"
    stop: Callable[[], bool] = lambda: False
    drawn: Path | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / FILE
        if not path.exists():
            path.write_text(json.dumps(plain_recipe(self.recipe), indent=1) + "\n", encoding="utf-8")
        elif read_recipe(self.folder) != self.recipe:
            raise BadInput.at(
                str(path), "is of another recipe", "Give an empty folder, or the recipe it began with"
            )

    @property
    def base_folder(self) -> Path:
        return Path(self.recipe.base.folder) if isinstance(self.recipe.base, GivenBase) else self.folder / "base"

    @property
    def adapter_file(self) -> Path:
        return self.folder / "adapter" / ADAPTER

    @property
    def text_length(self) -> int:
        return 512 if isinstance(self.recipe.base, GivenBase) else self.recipe.base.text.length

    def begin_with(self, weights: Path, *, adapter: bool = True) -> None:
        """Takes the base of an earlier run, and where there is one its adapter, instead of none at all.

        Optimisers begin afresh, so that the rates rise anew. Its transformer knows its T5, which learns no words
        by itself again. A run that has weights already keeps its own.

        Args:
            weights: the folder of a run, or that of an exported model (`NAME/` beside its card).
            adapter: whether its adapter is taken, too.

        Raises:
            BadInput: the folder has no base, or one of another shape.
        """
        base, learnt = weights / "base", weights / "adapter" / ADAPTER
        if (weights / "transformer").is_dir():
            base, learnt = weights, weights / ADAPTER
        if not (base / "transformer" / "config.json").is_file():
            mend = "Name the folder of a run or of a model, or leave it out"
            raise BadInput.at(str(weights), "has no base/transformer", mend)
        if isinstance(self.recipe.base, NewBase):
            told = json.loads((base / "transformer" / "config.json").read_text(encoding="utf-8"))
            shape = self.recipe.base.transformer
            names = ("num_attention_heads", "attention_head_dim", "num_layers", "num_single_layers")
            found = tuple(told[name] for name in names)
            if found != (shape.heads, shape.head, shape.double, shape.single):
                problem = f"has a transformer of {found} heads, channels of a head, double and single blocks"
                raise BadInput.at(str(weights), problem, f"The recipe {self.recipe.name} has {shape}")
        if not self.base_folder.exists():
            making = self.folder / ".making-base"
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(base, making, ignore=shutil.ignore_patterns(*OF_A_RUN))
            making.rename(self.base_folder)
            for stage in self.recipe.stages:
                if stage.trains == "words":
                    (self.folder / stage.name).mkdir(exist_ok=True)
                    (self.folder / stage.name / "finished").touch()
        if adapter and learnt.is_file() and not self.adapter_file.exists():
            self.adapter_file.parent.mkdir(exist_ok=True)
            shutil.copyfile(learnt, self.adapter_file)
        if (base / TRAINING).is_file():
            shutil.copyfile(base / TRAINING, self.folder / BEFORE)

    def stages_before(self) -> list[dict[str, Any]]:
        """What the stages took whose weights this run began with, the earliest first."""
        if not (self.folder / BEFORE).is_file():
            return []
        told = json.loads((self.folder / BEFORE).read_text(encoding="utf-8"))
        return [*told.get("before", ()), *told["stages"]]

    def train(self) -> None:
        """Every stage that is not finished, in order."""
        for stage in self.recipe.stages:
            if not self.finished(stage):
                self.train_stage(stage)
        part_company()

    def finished(self, stage: Stage) -> bool:
        return (self.folder / stage.name / "finished").exists()

    def train_stage(self, stage: Stage) -> None:
        """One stage, from its newest checkpoint or from what the stage before left."""
        accelerator = accelerator_for(self.recipe, self.device)
        torch.manual_seed(self.recipe.seed)
        with accelerator.main_process_first():
            base, adapter = self.parts(stage)
        encoder = PatchEncoder.read(base.vae)
        if encoder is None and stage.trains in NEW:
            raise BadInput.at(
                f"base {self.base_folder}", "has an encoder that is not linear", "See docs/training.md"
            )
        source = self.source(stage, encoder)
        empty = empty_texts(base.tokenizers).to(accelerator.device)
        trainee = Trainee(base, adapter, empty, self.recipe.guidance, self.recipe.shift).to(accelerator.device)
        if stage.distil is not None:
            trainee.teacher = Teacher(trainee)
        if stage.trains == "words":
            width = base.t5.get_input_embeddings().weight.shape[1]
            listener = Listener(WORLDS[self.recipe.world], width, self.recipe.seed)
            trainee.listener = listener.to(accelerator.device)
        compiled = self.recipe.compiled and stage.trains in ("base", "everything")
        quicken(base.transformer, base.t5, accelerator.device.type, compiled=compiled)
        place = self.folder / stage.name
        train_in(place, self.recipe, stage, trainee, source, encoder, accelerator, self.shown, self.stop)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self.finish(stage, base, adapter)
        accelerator.wait_for_everyone()

    def source(self, stage: Stage, encoder: PatchEncoder | None) -> Drawing | Speaker:
        """What makes the batches of a stage."""
        if stage.trains == "words":
            return Speaker.of(self.recipe, stage.tasks, self.base_folder, self.text_length)
        kept = self.drawn or self.folder / "drawn"
        return Drawing.of(self.recipe, stage.tasks, self.base_folder, self.text_length, encoder, kept)

    def parts(self, stage: Stage) -> tuple[Base, Adapter | None]:
        """What a stage begins with."""
        if stage.trains in NEW:
            return self.new_base(), None
        if not (self.base_folder / "transformer" / "config.json").is_file():
            mend = "Name its folder, in diffusers' layout: `--set base.folder=PATH`"
            if isinstance(self.recipe.base, NewBase):
                mend = "Begin with weights that are here: `--start kept`, or `--start DIR`"
            raise BadInput.at(f"recipe {self.recipe.name}, base", f"{self.base_folder} is not here", mend)
        base = read_base(self.base_folder, self.text_length)
        width = base.t5.get_input_embeddings().weight.shape[1]
        adapter = Adapter(
            base.transformer,
            width,
            self.recipe.rank,
            shared_mapping=self.recipe.shared_mapping,
            embeddings=self.recipe.embeddings,
            seed=self.recipe.seed,
        )
        with torch.no_grad():
            adapter.placeholders.copy_(base.t5.get_input_embeddings().weight[-len(adapter.placeholders) :])
        if stage.distil is not None and not self.adapter_file.exists():
            mend = "Begin with a model that was trained: `--start kept`, or `--start DIR`"
            raise BadInput.at(f"recipe {self.recipe.name}", "has no adapter to learn from", mend)
        if self.adapter_file.exists():
            from safetensors.torch import load_file

            load_adapter(base.transformer, adapter, load_file(self.adapter_file))
        return base, adapter

    def new_base(self) -> Base:
        """The base that is about to be trained: its encoder follows from the world, its weights from the seed."""
        if not isinstance(self.recipe.base, NewBase):
            raise BadInput.at(f"recipe {self.recipe.name}", "trains a base that it was given", "Name a NewBase")
        if (self.base_folder / "transformer").is_dir():
            write_schedule(self.base_folder, self.recipe.shift)
            return read_base(self.base_folder, self.text_length)
        torch.manual_seed(self.recipe.seed)
        words = caption_words(WORLDS[self.recipe.world])
        return build_base(self.recipe.base, words, self.pictures(0, 200), self.base_folder, self.recipe.shift)

    def finish(self, stage: Stage, base: Base, adapter: Adapter | None) -> None:
        """Writes what the stage has learnt, then forgets its checkpoints."""
        base.transformer.cpu()
        if stage.trains != "adapter":
            alone = base if adapter is None else replace(base, transformer=bare(base.transformer))
            save_base(alone, self.base_folder)
        if adapter is not None:
            save_adapter(adapter_tensors(base.transformer, adapter.cpu()), self.adapter_file, torch.float32)
        (self.folder / stage.name / "finished").touch()
        clear_checkpoints(self.folder / stage.name / "checkpoints")

    def train_decoder(self, said: Callable[[int, float], None] = lambda step, loss: None) -> None:
        """Trains the decoder on, from where it is, and writes the autoencoder."""
        assert isinstance(self.recipe.base, NewBase)
        base = read_base(self.base_folder, self.text_length)
        precision = autocast(self.recipe.precision, self.device)
        steps = self.recipe.base.decoder_steps
        train_decoder(base.vae.to(self.device), self.crops(), steps=steps, half=precision == "bf16", said=said)
        base.vae.cpu().save_pretrained(self.base_folder / "vae", safe_serialization=True)

    def crops(self) -> Iterator[Tensor]:
        """Batches of squares out of targets and references, (32, 3, 64, 64).

        Pictures are drawn as they are needed, 16 a batch, until there are enough; then they come again.
        """
        drawn: list[Tensor] = []
        for turn in count():
            chance = Random(turn)
            if len(drawn) < DECODER_PICTURES:
                drawn += self.pictures(10_000 + len(drawn), 16).half()
            crops = []
            for _ in range(32):
                picture_3HW = chance.choice(drawn)
                top, left = (8 * chance.randrange((side - CROP) // 8 + 1) for side in picture_3HW.shape[1:])
                crops.append(picture_3HW[:, top : top + CROP, left : left + CROP])
            yield torch.stack(crops).float()

    def pictures(self, first: int, count: int) -> Tensor:
        """Targets and references drawn from that number on, (count, 3, 128, 128)."""
        world, square = WORLDS[self.recipe.world], Canvas(128, 128)
        drawn = []
        for number in range(first, first + count):
            task = DECODER_TASKS[number % len(DECODER_TASKS)]
            sample = draw_sample(world, task, 2**31 + number, square, square)
            shown = [sample.target, *(reference.picture for reference in sample.references)]
            drawn.append(shown[(number // len(DECODER_TASKS)) % len(shown)])
        return pixels(drawn)


def part_company() -> None:
    """Ends the group of processes: one that just exits can abort another that still listens to it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

"""A kind of one's own, taught to a model that stays as it is: a role for its references, and if asked an adapter.

`run/` below its folder holds `recipe.json`, the samples that are learnt from and their hashes, each stage with
what it came to, and `roles/BASE.safetensors`. With an adapter `cards/BASE-KIND.toml` lies beside the folder of its
file: a model card, since adapters are fused into weights and are never a kind's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from core.cards import ModelCard, read_card
from core.errors import BadInput
from core.generation.files import base_folder, local_folder, require_files
from core.generation.model import fuse_card, quiet, read_embeddings
from core.generation.transformer import DreamOTransformer
from core.settings import Settings
from core.training.adapter import add_lora, lora_parameters, save_adapter
from core.training.autoencoder import PatchEncoder
from core.training.base_model import Base, read_base
from core.training.checkpoints import clear_checkpoints
from core.training.computing import quicken
from core.training.data.entries import Entry, write_entries
from core.training.data.fingerprints import contents_of, words_of
from core.training.drawing import Drawing
from core.training.kind_adapter import KindAdapter
from core.training.kind_measures import measure_held_out
from core.training.kind_plans import ADAPTER, ROLE, KindPlan, recipe_of, split_entries
from core.training.loop import empty_texts
from core.training.measures import Interval
from core.training.recipe_files import FILE, plain_recipe, read_recipe
from core.training.recipes import Recipe, Stage
from core.training.runs import silent
from core.training.stages import Shown, accelerator_for, train_in
from core.training.trainee import Trainee

MEASURED, DATA = "held-out.json", "data.json"


@dataclass
class KindRun:
    """One kind, one model, one folder. `train` goes on wherever it stopped.

    Attributes:
        card: of the model that learns it.
        settings: where weights lie.
        folder: for everything that is written.
        begin: called with each stage that begins or goes on.
        learnt: how many samples are learnt from; `held_out`: those that are measured on.
    """

    plan: KindPlan
    card: ModelCard
    settings: Settings
    folder: Path
    device: str = "cpu"
    shown: Shown = silent
    stop: Callable[[], bool] = lambda: False
    begin: Callable[[Stage], None] = lambda stage: None
    learnt: int = 0
    held_out: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.card.embeddings:
            mend = "Name a model with embeddings"
            raise BadInput.at("option --base", f"{self.card.name} takes no references", mend)
        require_files(self.card, self.settings)
        learnt, self.held_out = split_entries(self.plan)
        self.learnt = len(learnt)
        samples = self.work / "samples"
        base = base_folder(self.card, self.settings).resolve()
        self.recipe: Recipe = recipe_of(self.plan, self.card, base, learnt, samples.resolve())
        path = self.work / FILE
        if path.exists() and read_recipe(self.work) != self.recipe:
            raise BadInput.at(str(path), "is of another training", "Name another folder with -o")
        self.keep_data(learnt)
        write_entries(learnt, samples)
        path.write_text(json.dumps(plain_recipe(self.recipe), indent=1) + "\n", encoding="utf-8")

    def keep_data(self, learnt: Sequence[Entry]) -> None:
        """Writes what the samples are, for whoever goes on with them.

        Of those that are held out the words alone count: their pictures may be brought back before they are
        measured on.

        Raises:
            BadInput: something was learnt already, from other samples.
        """
        told = {"learnt": contents_of(learnt), "held_out": words_of(self.held_out)}
        path, text = self.work / DATA, json.dumps(told, indent=1) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        if path.is_file() and any((self.work / stage.name).exists() for stage in self.recipe.stages):
            what = f"has other samples than those that {self.work} has begun to learn from"
            mend = "Bring them back as they were, or name another folder with -o to begin anew"
            raise BadInput.at(str(self.plan.data), what, mend)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    @property
    def work(self) -> Path:
        return self.folder / "run"

    @property
    def role_file(self) -> Path:
        return self.work / "roles" / f"{self.card.base_name}.safetensors"

    @property
    def adapted_name(self) -> str:
        """Of the card with the adapter, and of the base that its role is found by."""
        return f"{self.card.name}-{self.plan.name}"

    @property
    def adapted_role_file(self) -> Path:
        return self.work / "roles" / f"{self.adapted_name}.safetensors"

    @property
    def card_file(self) -> Path:
        return self.folder / "cards" / f"{self.adapted_name}.toml"

    @property
    def roles(self) -> dict[str, Path]:
        """The files that were learnt, by the base names of cards."""
        told = {self.card.base_name: self.role_file, self.adapted_name: self.adapted_role_file}
        return {name: path for name, path in told.items() if path.is_file()}

    def finished(self, stage: Stage) -> bool:
        return (self.work / stage.name / "finished").exists()

    @cached_property
    def base(self) -> Base:
        """The model's base, its adapters fused in, float32."""
        folder = base_folder(self.card, self.settings)
        base = read_base(folder, self.card.text_tokens)
        fused = fuse_card(self.card, self.settings, torch.float32)
        with quiet():
            base.transformer = DreamOTransformer.from_pretrained(
                fused, torch_dtype=torch.float32, local_files_only=True
            )
        for part in (base.transformer, base.vae, base.clip, base.t5):
            part.requires_grad_(False)
        return base

    @cached_property
    def encoder(self) -> PatchEncoder | None:
        return PatchEncoder.read(self.base.vae)

    @cached_property
    def trainee(self) -> Trainee:
        """Base and role; the role is the newest that was learnt."""
        adapter = KindAdapter(self.plan.name, read_embeddings(self.card, self.settings))
        empty = empty_texts(self.base.tokenizers).to(self.device)
        trainee = Trainee(self.base, adapter, empty, self.recipe.guidance, self.recipe.shift)
        quicken(self.base.transformer, self.base.t5, self.device, compiled=False)
        return trainee.to(self.device)

    def drawing(self, stage: Stage) -> Drawing:
        """The batches of a stage: out of the folder alone."""
        base = base_folder(self.card, self.settings)
        kept = self.work / "drawn"
        return Drawing.of(self.recipe, stage.tasks, base, self.card.text_tokens, self.encoder, kept)

    def train(self) -> None:
        """Every stage that is not finished, in order.

        Raises:
            Stopped: somebody asked for it; a checkpoint is written.
        """
        for stage in self.recipe.stages:
            if stage.name == ADAPTER:
                self.take_role(self.role_file)
                torch.manual_seed(self.recipe.seed)
                add_lora(self.base.transformer, self.recipe.rank)
                self.trainee.to(self.device)
            if not self.finished(stage):
                self.begin(stage)
                self.train_stage(stage)

    def train_stage(self, stage: Stage) -> None:
        """One stage, from its newest checkpoint or from what the stage before left."""
        accelerator = accelerator_for(self.recipe, self.device)
        torch.manual_seed(self.recipe.seed)
        place, drawing = self.work / stage.name, self.drawing(stage)
        told = (self.recipe, stage, self.trainee, drawing, self.encoder, accelerator, self.shown, self.stop)
        train_in(place, *told)
        self.finish(stage)

    def finish(self, stage: Stage) -> None:
        """Writes what the stage has learnt, then forgets its checkpoints."""
        adapter = self.trainee.adapter
        assert isinstance(adapter, KindAdapter)
        path = self.role_file if stage.name == ROLE else self.adapted_role_file
        save_adapter(adapter.tensors(), path, torch.float32)
        if stage.name == ADAPTER:
            lora: dict[str, Tensor] = {
                name: tensor.detach().cpu() for name, tensor in lora_parameters(self.base.transformer).items()
            }
            save_adapter(lora, self.card_file.parent / self.adapted_name / "adapter.safetensors")
            self.card_file.write_text(card_text(self.card, self.adapted_name, self.plan.name), encoding="utf-8")
            read_card(self.card_file)
        found = measure_held_out(self.trainee, self.drawing(stage), self.held_out)
        told = {name: asdict(one) for name, one in found.items()}
        (self.work / stage.name / MEASURED).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        (self.work / stage.name / "finished").touch()
        clear_checkpoints(self.work / stage.name / "checkpoints")

    def measured(self, stage: Stage) -> dict[str, Interval]:
        """What a finished stage came to on the samples that were held out."""
        told = json.loads((self.work / stage.name / MEASURED).read_text(encoding="utf-8"))
        return {name: Interval(**one) for name, one in told.items()}

    def take_role(self, path: Path) -> None:
        """Goes on from a role that was learnt."""
        from safetensors.torch import load_file

        adapter = self.trainee.adapter
        assert isinstance(adapter, KindAdapter)
        with torch.no_grad():
            for tensor in load_file(path).values():
                adapter.role_1W.copy_(tensor)


def card_text(card: ModelCard, name: str, kind: str) -> str:
    """The model's card once more, with the adapter behind its own; folders beside it by their whole paths."""
    told: dict[str, object] = {
        "name": name,
        "title": f"{card.title}; with an adapter for the kind {kind}",
        "generator": card.generator,
        "base": placed(card.base, card),
        "base_name": name,
        "embeddings": card.embeddings,
    }
    for key in COPIED:
        value = getattr(card, key)
        if value is not None:
            told[key] = list(value) if isinstance(value, tuple) else value
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
    adapters = [(placed(one.repository, card), one.file, one.scale, one.naming) for one in card.adapters]
    for repository, file, scale, naming in (*adapters, (name, "adapter.safetensors", 1.0, "published")):
        lines += ["", "[[adapters]]", f"repository = {json.dumps(repository)}", f"file = {json.dumps(file)}"]
        lines += [f"scale = {scale}", f"naming = {json.dumps(naming)}"]
    return "\n".join(lines) + "\n"


COPIED = (
    *("steps", "guidance", "first_step_guidance", "true_cfg", "true_cfg_start", "true_cfg_end"),
    *("negative_guidance", "text_tokens", "area", "sides", "grid", "reference_area", "max_references", "alone"),
    *("licence", "purpose", "notice", "untried", "world", "languages"),
)


def placed(repository: str, card: ModelCard) -> str:
    """A repository of the Hub by its name, a folder beside the card by its whole path."""
    folder = local_folder(repository, card)
    return repository if folder is None else str(folder.resolve())

"""A model card's weights, loaded and ready: found, hashed, fused, placed.

Everything is loaded onto the CPU first and checked against the files' own shapes by diffusers and transformers;
the device is touched last.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cards import ModelCard
from core.errors import BadInput
from core.generation import compiling, memory
from core.generation.files import (
    adapter_file,
    base_folder,
    component_hashes,
    embeddings_file,
    file_hash,
    require_files,
)
from core.generation.names import EMBEDDINGS, INDEX, PLACEHOLDERS, TASK
from core.generation.precision import precision_of, vae_precision
from core.generation.schedule import Schedule
from core.generation.sequence import RoleVectors
from core.generation.text import TextEncoders, Tokenizers, read_t5
from core.generation.weights import Ingredient, fused_folder
from core.requests import Role
from core.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.generation.fused import FusedTransformer
    from core.generation.transformer import DreamOTransformer

log = logging.getLogger("dreamline")


@dataclass
class Model:
    """One card's models on one device.

    Attributes:
        fingerprints: for `text` and `vae`, what decides what they compute: part of every cache key.
        roles: DreamO's vectors, on the device; None for a card without embeddings, which takes no references.
    """

    card: ModelCard
    device: str
    precision: torch.dtype
    plan: memory.Plan
    schedule: Schedule
    text: TextEncoders
    vae: Any
    transformer: DreamOTransformer | FusedTransformer
    roles: RoleVectors | None
    fingerprints: dict[str, Any]
    kind_roles: dict[Path, RoleVectors] = field(default_factory=dict)

    @property
    def guided(self) -> bool:
        """Whether the base has a guidance embedding (FLUX.1-dev has, schnell has not)."""
        return bool(self.transformer.config.guidance_embeds)

    def vectors(self, role: Role) -> RoleVectors:
        """DreamO's vectors, or those of the file that the kind ships for this base.

        Raises:
            BadInput: the card has no embeddings, or the kind ships none for this base.
        """
        if self.roles is None:
            raise BadInput.at(
                f"model {self.card.name}", "has no embeddings for references", "Name a model with embeddings"
            )
        if not role.files:
            return self.roles
        path = role.files.get(self.card.base_name)
        if path is None:
            offered = ", ".join(role.files)
            raise BadInput.at(
                f"model {self.card.name}",
                f"the kind has no role for the base {self.card.base_name!r}",
                f"It has roles for: {offered}",
            )
        if path not in self.kind_roles:
            self.kind_roles[path] = read_roles(path, self.roles, self.transformer.inner_dim)
        return self.kind_roles[path]

    @contextmanager
    def lent(self, module: Any) -> Iterator[Any]:
        """The module on the device; where the plan is `model` or `group`, it comes for this and leaves again."""
        if self.plan.mode not in ("model", "group"):
            yield module
            return
        module.to(self.device)
        try:
            yield module
        finally:
            module.to("cpu")

    @contextmanager
    def denoising(self) -> Iterator[None]:
        """The transformer on the device for as long as batches are denoised; `group` brings its blocks itself."""
        if self.plan.mode == "group":
            yield
            return
        with self.lent(self.transformer):
            yield


def load_model(card: ModelCard, settings: Settings, device: str) -> Model:
    """Loads a card onto a device.

    Raises:
        WeightsMissing: naming each file that is not here.
        BadInput: device, precision or files can't be used.
    """
    from safetensors import SafetensorError

    require_files(card, settings)
    try:
        return _load(card, settings, device)
    except (SafetensorError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BadInput.at(
            f"model {card.name}",
            f"a file of the model can't be read ({error})",
            f"`dreamline models check {card.name}` says which",
        ) from error


def _load(card: ModelCard, settings: Settings, device: str) -> Model:
    from diffusers import AutoencoderKL

    from core.generation.float8 import require_fp8
    from core.generation.transformer import DreamOTransformer

    device = memory.resolve_device(device)
    precision = precision_of(settings.precision, device)
    if settings.memory == "fp8":
        require_fp8(device, precision)
    base, notes = base_folder(card, settings), settings.home / "cache" / "hashes"
    rows = read_embeddings(card, settings)
    schedule = read_schedule(base)
    tokenizers = read_tokenizers(base, card.text_tokens, placeholders=bool(rows))
    with quiet():
        text = TextEncoders.load(base, tokenizers, rows.get(PLACEHOLDERS), precision)
        rounded = vae_precision(base / "vae", precision)
        vae = AutoencoderKL.from_pretrained(base / "vae", torch_dtype=rounded, local_files_only=True).eval()
        fused = fuse_card(card, settings, precision)
        transformer = DreamOTransformer.from_pretrained(fused, torch_dtype=precision, local_files_only=True).eval()
    plan = memory.choose(
        settings.memory,
        device,
        memory.free_bytes(device),
        memory.bytes_of(transformer),
        memory.bytes_of(text.t5),
    )
    log.info("model %s on %s: %s (%s)", card.name, device, plan.mode, plan.why)
    placed = memory.place(transformer, plan, device)
    if plan.mode not in ("model", "group"):
        vae.to(device)
    compiling.prepare(placed, vae, settings, device)
    embeddings = embeddings_file(card, settings)
    fingerprints = {
        "text": [
            *(component_hashes(base / part, notes) for part in ("tokenizer", "tokenizer_2")),
            *(component_hashes(base / part, notes) for part in ("text_encoder", "text_encoder_2")),
            file_hash(embeddings, notes) if embeddings else "",
            tokenizers.length,
            str(precision),
            plan.text.split(":")[0],
        ],
        "vae": [component_hashes(base / "vae", notes), str(rounded), device.split(":")[0]],
    }
    roles = RoleVectors(rows[TASK], rows[INDEX]).to(device) if rows else None
    return Model(card, device, precision, plan, schedule, text, vae, placed, roles, fingerprints)


def read_schedule(base: Path) -> Schedule:
    """The schedule of a base folder, tried once.

    Raises:
        BadInput: naming the file, which can't be read or has numbers that make no sigmas.
    """
    path = base / "scheduler" / "scheduler_config.json"
    try:
        schedule = Schedule.read(json.loads(path.read_text(encoding="utf-8")), str(path))
        schedule.sigmas(4, 1024)
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise _unusable(path, error) from error
    return schedule


def read_tokenizers(base: Path, length: int, *, placeholders: bool) -> Tokenizers:
    """Both tokenizers of a base folder, tried once.

    Raises:
        BadInput: naming the file, or the folder where each file by itself can be read.
    """
    try:
        tokenizers = Tokenizers.read(base, length, placeholders=placeholders)
        tokenizers.ids("a dog")
    except BadInput:
        raise
    except Exception as error:  # the tokenizers' library raises plain Exception
        raise _unusable(_broken_tokenizer(base), error) from error
    return tokenizers


def _broken_tokenizer(base: Path) -> Path:
    """The first file that is no JSON; without one, the folder whose tokenizer can't be built."""
    for path in sorted(base.glob("tokenizer*/*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return path
    try:
        read_t5(base / "tokenizer_2")
    except Exception:
        return base / "tokenizer_2"
    return base / "tokenizer"


def _unusable(path: Path, error: Exception) -> BadInput:
    return BadInput.at(str(path), f"can't be used ({type(error).__name__}: {error})", "Fetch it again")


def fuse_card(card: ModelCard, settings: Settings, precision: torch.dtype) -> Path:
    """The folder of the card's fused transformer, made if need be.

    Raises:
        WeightsMissing: files are not here.
        BadInput: an adapter does not fit.
    """
    require_files(card, settings)
    notes = settings.home / "cache" / "hashes"
    found = [(adapter, adapter_file(adapter, card, settings).path) for adapter in card.adapters]
    ingredients = [Ingredient(adapter, path, file_hash(path, notes)) for adapter, path in found]
    transformer = base_folder(card, settings) / "transformer"
    hashes = component_hashes(transformer, notes)
    return fused_folder(transformer, hashes, ingredients, precision, settings.home / "cache" / "fused")


def read_embeddings(card: ModelCard, settings: Settings) -> dict[str, Tensor]:
    """Task, index and placeholder embeddings of the card, float32; empty for a card without.

    Raises:
        BadInput: the file lacks one of them.
    """
    from safetensors import safe_open

    path = embeddings_file(card, settings)
    if path is None:
        return {}
    with safe_open(path, "pt") as file:
        missing = [name for name in EMBEDDINGS if name not in file.keys()]  # noqa: SIM118
        if missing:
            raise BadInput.at(f"{path}, tensor {missing[0]}", "is missing", "Fetch the file again")
        return {name: file.get_tensor(name).float() for name in EMBEDDINGS}


def read_roles(path: Path, dreamo: RoleVectors, width: int) -> RoleVectors:
    """Role vectors of a kind's own file: its `dreamo_task_embedding.weight`, and an index embedding if it has one.

    They are where DreamO's own are. A task embedding of one row stands for row 0, which references get.

    Raises:
        BadInput: the file can't be read, has no such tensor, or one of another width.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path, device=str(dreamo.task_2W.device))
    except (SafetensorError, OSError) as error:
        mend = "Install the kind's plugin again"
        raise BadInput.at(str(path), f"can't be read as a role ({error})", mend) from error
    task_KW, index_KW = tensors.get(TASK), tensors.get(INDEX, dreamo.index_KW)
    if task_KW is None or task_KW.shape[-1] != width or index_KW.shape != (len(dreamo.index_KW), width):
        raise BadInput.at(
            f"{path}, tensor {TASK}", "is missing or of another width", f"Roles here are {width} wide"
        )
    return RoleVectors(torch.stack([task_KW[0].float(), dreamo.task_2W[1]]), index_KW.float())


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the progress bars of loading to terminals' logs: transformers' are switched off and on again."""
    from transformers.utils import logging as said

    before = said.is_progress_bar_enabled()
    said.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            said.enable_progress_bar()

"""Where the files of a model card lie, which of them are missing, and what they hash to.

A repository is looked for as a folder beside the card first, then below the models folder
(`models/black-forest-labs/FLUX.1-dev`). Nothing is fetched here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.cards import Adapter, ModelCard
from core.errors import BadInput, WeightsMissing
from core.settings import Settings

COMPONENTS = ("transformer", "vae", "text_encoder", "text_encoder_2")
"""Folders of a base in diffusers' layout that hold weights and a `config.json`."""

PLAIN_FILES = (
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer_2/tokenizer.json",
    "tokenizer_2/tokenizer_config.json",
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file that a card needs.

    Attributes:
        name: `repository/path`, the same on every machine; what hashes are recorded under.
        repository: as the card says it.
        file: its path in the repository.
        path: where it lies, or would have to lie.
    """

    name: str
    repository: str
    file: str
    path: Path


def repository_folder(repository: str, card: ModelCard, settings: Settings) -> Path:
    """A folder beside the card, an absolute folder, or the place below the models folder."""
    return local_folder(repository, card) or settings.models_folder / repository


def local_folder(repository: str, card: ModelCard) -> Path | None:
    """The folder that the card means by this name; None for a repository of the Hub."""
    beside = card.source.parent / Path(repository).expanduser()
    return beside if beside.is_dir() or Path(repository).expanduser().is_absolute() else None


def base_folder(card: ModelCard, settings: Settings) -> Path:
    return repository_folder(card.base, card, settings)


def adapter_file(adapter: Adapter, card: ModelCard, settings: Settings) -> ModelFile:
    path = repository_folder(adapter.repository, card, settings) / adapter.file
    return ModelFile(f"{adapter.repository}/{adapter.file}", adapter.repository, adapter.file, path)


def embeddings_file(card: ModelCard, settings: Settings) -> Path | None:
    """The adapter file that holds task, index and placeholder embeddings; None for a card without.

    Raises:
        BadInput: the card names a file that none of its adapters is.
    """
    if not card.embeddings:
        return None
    for adapter in card.adapters:
        if adapter.file == card.embeddings:
            return adapter_file(adapter, card, settings).path
    names = ", ".join(adapter.file for adapter in card.adapters) or "none"
    raise BadInput.at(
        f"{card.source or card.name}, key embeddings", f"{card.embeddings!r} is no adapter", f"Adapters: {names}"
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one component: a single one, or the shards that its index names.

    Raises:
        WeightsMissing: there is neither.
        BadInput: the index can't be read.
    """
    for index in sorted(folder.glob("*.safetensors.index.json")):
        try:
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            found = [folder / name for name in sorted(set(shards))]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"is no index of weights ({type(error).__name__}: {error})"
            raise BadInput.at(str(index), what, "Fetch the file again") from error
        if not found:
            raise BadInput.at(f"{index}, key weight_map", "names no file", "Fetch the file again")
        return found
    single = [path for stem in ("diffusion_pytorch_model", "model") for path in folder.glob(f"{stem}.safetensors")]
    if single:
        return single[:1]
    raise WeightsMissing(f"{folder}: no .safetensors file is here. `dreamline models check` says what to do")


def card_files(card: ModelCard, settings: Settings) -> list[ModelFile]:
    """Every file that the card needs, present or not; a component's shards are known once its index is here."""
    folder = base_folder(card, settings)
    names = list(PLAIN_FILES)
    for component in COMPONENTS:
        names.append(f"{component}/config.json")
        names.extend(str(path.relative_to(folder)) for path in _expected_weights(folder / component))
        names.extend(str(path.relative_to(folder)) for path in sorted((folder / component).glob("*.index.json")))
    files = [ModelFile(f"{card.base}/{name}", card.base, name, folder / name) for name in dict.fromkeys(names)]
    return files + [adapter_file(adapter, card, settings) for adapter in card.adapters]


def _expected_weights(folder: Path) -> list[Path]:
    try:
        return weight_files(folder)
    except WeightsMissing:
        return [folder / "*.safetensors"]


def require_files(card: ModelCard, settings: Settings) -> None:
    """Checks that every file is here.

    Raises:
        WeightsMissing: naming each file that is not, what to accept and where to put it.
    """
    missing = [file for file in card_files(card, settings) if not file.path.is_file()]
    if missing:
        raise WeightsMissing(missing_message(card, missing))


def missing_message(card: ModelCard, missing: Sequence[ModelFile]) -> str:
    """What is not here and how to get it, in one paragraph for each repository."""
    parts = [f"model {card.name!r}: files are missing."]
    for repository in dict.fromkeys(file.repository for file in missing):
        files = [file for file in missing if file.repository == repository]
        where = files[0].path.parents[len(Path(files[0].file).parts) - 1]
        parts.append(f"Put {', '.join(file.file for file in files)} of {repository} into {where}.")
        if repository in GATED:
            parts.append(
                f"{repository} is gated: accept its licence at https://huggingface.co/{repository} "
                "and log in with `hf auth login`."
            )
    if any(local_folder(file.repository, card) is None for file in missing):
        parts.append(
            f"`dreamline models fetch {card.name}` fetches what is published; or put them there yourself."
        )
    return " ".join(parts)


GATED = ("black-forest-labs/FLUX.1-dev",)
"""Repositories that ask people to accept a licence before they hand out files."""


def file_hash(path: Path, cache: Path) -> str:
    """sha256 of a file; remembered below `cache` as long as it is the same file, unchanged.

    LoRA files of one rank have one size, and copies keep times of change: the inode and the time at which the file
    system last touched it tell them apart.
    """
    facts = path.stat()
    name = str(path.resolve())
    now = [name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    note = cache / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
    try:
        seen = json.loads(note.read_text(encoding="utf-8"))
        if seen["file"] == now:
            return str(seen["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    # A note that can't be written costs time, nothing else.
    with contextlib.suppress(OSError):
        write_atomically(note, json.dumps({"file": now, "sha256": digest}).encode())
    return digest


def component_hashes(folder: Path, cache: Path) -> dict[str, str]:
    """sha256 by name of a component's weights and settings: what it computes follows from them."""
    return {path.name: file_hash(path, cache) for path in _deciding(folder)}


def _deciding(folder: Path) -> Iterator[Path]:
    if (folder / "config.json").is_file():
        yield folder / "config.json"
        yield from weight_files(folder)
    else:
        yield from sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt"))


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file or none: others never see a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as stream:
        stream.write(data)
    Path(stream.name).replace(path)

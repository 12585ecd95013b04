"""Fetching what a card names, and tools: the only place that does. Nearly all comes from the Hugging Face Hub.

Only the folders that are used come from a base: FLUX.1-dev's repository also holds its weights a second time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from core.cards import ModelCard
from core.errors import DreamlineError, Infrastructure, WeightsMissing
from core.generation.files import COMPONENTS, local_folder
from core.settings import Settings
from core.toolbox import Tool, tool_folder

BASE_FILES = (
    "model_index.json",
    "scheduler/*.json",
    "tokenizer/*",
    "tokenizer_2/*",
    *(f"{component}/{kind}" for component in COMPONENTS for kind in ("*.json", "*.safetensors")),
)


def fetch_card(card: ModelCard, settings: Settings, told: Callable[[str], None]) -> Iterator[Path]:
    """Fetches what is not here; yields the folder of each repository.

    Raises:
        WeightsMissing: a repository asks people to accept its licence first, or does not exist.
        Infrastructure: the Hub can't be reached.
        DreamlineError: huggingface_hub is not installed.
    """
    wanted: dict[str, list[str]] = {}
    if card.base:
        wanted[card.base] = list(BASE_FILES)
    for adapter in card.adapters:
        wanted.setdefault(adapter.repository, []).append(adapter.file)
    for repository, patterns in wanted.items():
        if local_folder(repository, card) is not None:
            told(f"{repository} is a folder: nothing to fetch")
            continue
        folder = settings.models_folder / repository
        told(f"fetching {repository} into {folder}")
        _fetch(repository, patterns, folder)
        yield folder


def fetch_tool(tool: Tool, settings: Settings, told: Callable[[str], None]) -> Iterator[Path]:
    """Fetches the files of a tool that are not here; yields the folder.

    Raises:
        WeightsMissing: a repository asks people to accept its licence first, or does not exist.
        Infrastructure: the Hub, or what publishes the file, can't be reached, or sent other bytes than it states.
        DreamlineError: huggingface_hub is not installed.
    """
    folder = tool_folder(tool, settings)
    missing = [file for file in tool.files if not (folder / file).is_file()]
    if not missing:
        told(f"{tool.name} is here: nothing to fetch")
    for file in missing:
        if file in tool.urls:
            told(f"fetching {tool.urls[file]} into {folder}")
            _download(tool.urls[file], tool.md5[file], folder / file)
    published = [file for file in missing if file not in tool.urls]
    if published:
        told(f"fetching {tool.repository} into {folder}")
        _fetch(tool.repository, published, folder)
    yield folder


def _download(url: str, md5: str, path: Path) -> None:
    """A file from an address, whole or not at all; held against the sum that its publisher states."""
    from urllib.request import urlopen

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        with urlopen(url, timeout=60) as answer, part.open("wb") as stream:  # noqa: S310 - an address of the toolbox
            shutil.copyfileobj(answer, stream, 1 << 20)
        with part.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != md5:
            raise Infrastructure(f"{url} sent other bytes than published (md5 {found}, not {md5}): fetch it again")
        part.replace(path)
    except OSError as error:
        raise Infrastructure(
            f"{url} can't be fetched ({error}). Try again, or put the file into {path.parent}"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(repository: str, patterns: list[str], folder: Path) -> None:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise DreamlineError("fetching needs huggingface_hub: pip install 'dreamline[generation]'") from error
    page = f"https://huggingface.co/{repository}"
    try:
        snapshot_download(repository, allow_patterns=patterns, local_dir=folder)
    except GatedRepoError as error:
        raise WeightsMissing(
            f"{repository} is gated: accept its licence at {page}, log in with `hf auth login`, and fetch again"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise WeightsMissing(
            f"{repository} is no repository that you may read: check {page}, or put its files into {folder}"
        ) from error
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        text = str(error).strip().split("\n")[0]
        raise Infrastructure(
            f"{repository} can't be fetched: the Hugging Face Hub did not answer ({text}). "
            f"Try again, or put its files into {folder}"
        ) from error

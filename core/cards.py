"""Model cards: what a model is, as data. A card is a TOML file; `docs/model-cards.md` describes every key.

Cards ship in `core/model_cards/`; folders named by `DREAMLINE_CARDS` come first.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput, Problem
from core.settings import Settings

SHIPPED = Path(__file__).parent / "model_cards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Weights added to the base, with their strength. `repository` is a Hub repository or a folder."""

    repository: str
    file: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model that campaigns can name.

    Attributes:
        name: what `model:` in a campaign file says.
        title: one line for people.
        generator: who makes its images (`dreamo`, `fake`, or what a plugin brings).
        base: Hub repository or folder of the base model, in diffusers' layout; a relative folder is looked
            for beside the card.
        base_name: what role files of plugins are found by (`flux-dev`).
        adapters: fused into the base in this order.
        embeddings: the adapter file that holds the task, index and placeholder embeddings.
        steps, guidance, first_step_guidance, true_cfg: defaults of a request.
        area: pixels of a generated image where a format leaves the choice.
        sides: smallest and largest side in pixels.
        grid: both sides are multiples of this.
        reference_area: pixels of a prepared reference.
        max_references: in one request.
        alone: kinds that go with no other reference.
        licence, purpose: what its weights may be used for, in words.
        notice: said whenever the card is planned or run.
        untried: true for cards that nobody has run on real weights.
    """

    name: str
    title: str
    generator: str
    base: str = ""
    base_name: str = ""
    adapters: tuple[Adapter, ...] = ()
    embeddings: str = ""
    steps: int = 12
    guidance: float = 4.5
    first_step_guidance: float | None = None
    true_cfg: float = 1.0
    area: int = 1024 * 1024
    sides: tuple[int, int] = (768, 1024)
    grid: int = 16
    reference_area: int = 512 * 512
    max_references: int = 9
    alone: tuple[str, ...] = ()
    licence: str = ""
    purpose: str = ""
    notice: str = ""
    untried: bool = False
    source: Path = field(default=Path(), compare=False)

    def digest(self, files: Mapping[str, str]) -> str:
        """sha256 over everything on the card that can decide pixels, and the recorded hashes of its files."""
        said = {key: value for key, value in asdict(self).items() if key not in _WORDS}
        text = json.dumps([said, dict(files)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_WORDS = ("title", "licence", "purpose", "notice", "untried", "source")


def read_card(path: Path) -> ModelCard:
    """Reads one card.

    Raises:
        BadInput: naming the file and every key that is missing, unknown or of the wrong type.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput.at(str(path), f"can't be read ({error.strerror})", "Check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput.at(str(path), f"is not TOML ({error})", "Mend the line that it names") from error
    problems = _problems(path, told)
    BadInput.gather(problems)
    told["adapters"] = tuple(Adapter(**adapter) for adapter in told.get("adapters", ()))
    for key in ("sides", "alone"):
        if key in told:
            told[key] = tuple(told[key])
    return ModelCard(**told, source=path)


def find_cards(settings: Settings) -> dict[str, Path]:
    """Card files by name; a card of one's own hides a shipped one of the same name."""
    folders = [SHIPPED, *reversed([Path(folder) for folder in settings.cards])]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def load_card(name: str, settings: Settings) -> ModelCard:
    """The card called `name`, or the card in the file of that path.

    Raises:
        BadInput: there is none, or it can't be read.
    """
    if name.endswith(".toml"):
        return read_card(Path(name))
    cards = find_cards(settings)
    if name not in cards:
        raise BadInput.at("model", f"there is no model card {name!r}", f"Cards here: {', '.join(sorted(cards))}")
    return read_card(cards[name])


def _problems(path: Path, told: Mapping[str, Any]) -> Iterable[Problem]:
    hints = ModelCard.__annotations__
    for key in ("name", "title", "generator"):
        if key not in told:
            yield Problem(f"{path}, key {key}", "is missing", "Every card has it")
    for key, value in told.items():
        if key not in hints or key == "source":
            known = ", ".join(name for name in hints if name != "source")
            yield Problem(f"{path}, key {key}", "no card has this key", f"Cards have: {known}")
        elif not isinstance(value, _TYPES[hints[key]]) or isinstance(value, bool) != (hints[key] == "bool"):
            yield Problem(f"{path}, key {key}", f"{value!r} is of the wrong type", f"Give {hints[key]}")
    if "name" in told and told["name"] != path.stem:
        yield Problem(f"{path}, key name", f"{told['name']!r} is not the file's name", f"Say {path.stem!r}")


_TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "float | None": (int, float),
    "bool": bool,
    "tuple[int, int]": list,
    "tuple[str, ...]": list,
    "tuple[Adapter, ...]": list,
}

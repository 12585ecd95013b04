"""Model cards: what a model is, as data. A card is a TOML file; `docs/model-cards.md` describes every key.

Cards ship in `core/model_cards/`; folders named by `DREAMLINE_CARDS` come first.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput, Problem
from core.settings import Settings

SHIPPED = Path(__file__).parent / "model_cards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Weights added to the base, with their strength.

    Attributes:
        repository: a Hub repository or a folder; a relative folder is looked for beside the card.
        file: its path in there.
        scale: the strength; negative takes away.
        naming: `published` or `diffusers`: how its tensors have to be called; empty: either.
    """

    repository: str
    file: str
    scale: float = 1.0
    naming: str = ""


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
        steps, guidance, first_step_guidance, true_cfg, true_cfg_start, true_cfg_end, negative_guidance: defaults
            of a request.
        text_tokens: T5 tokens of a prompt; fewer where the base's tokenizer says so.
        area: pixels of a generated image where a format leaves the choice.
        sides: smallest and largest side in pixels.
        grid: both sides are multiples of this.
        reference_area: pixels of a prepared reference.
        max_references: in one request.
        alone: kinds that go with no other reference.
        licence, purpose: what its weights may be used for, in words.
        notice: said whenever the card is planned or run.
        untried: true for cards that nobody has run on real weights.
        world: the drawn world that it knows, and whose readers score its images; empty: none.
        languages: ISO 639-1 codes of those that its text encoders know; empty: any. Plans warn of others.
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
    true_cfg_start: int = 0
    true_cfg_end: int | None = None
    negative_guidance: float = 3.5
    text_tokens: int = 512
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
    world: str = ""
    languages: tuple[str, ...] = ("en",)
    source: Path = field(default=Path(), compare=False)

    def digest(self, files: Mapping[str, str]) -> str:
        """sha256 over everything on the card that can decide pixels, and the recorded hashes of its files."""
        said = {key: value for key, value in asdict(self).items() if key not in _WORDS}
        text = json.dumps([said, dict(files)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_WORDS = ("title", "licence", "purpose", "notice", "untried", "world", "languages", "source")


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
    for key in ("sides", "alone", "languages"):
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
        elif key in _WHOLE and not _WHOLE[key](value):
            yield Problem(f"{path}, key {key}", f"{value!r} can't be used", _MEND[key])
    for number, adapter in enumerate(told.get("adapters", ()), start=1):
        yield from _adapter_problems(f"{path}, adapter {number}", adapter)
    files = [adapter.get("file") for adapter in told.get("adapters", ()) if isinstance(adapter, dict)]
    if told.get("embeddings") and told["embeddings"] not in files:
        yield Problem(
            f"{path}, key embeddings", f"{told['embeddings']!r} is no adapter's file", "Name one of them"
        )
    yield from _together(path, told)
    if "name" in told and told["name"] != path.stem:
        yield Problem(f"{path}, key name", f"{told['name']!r} is not the file's name", f"Say {path.stem!r}")


def _together(path: Path, told: Mapping[str, Any]) -> Iterable[Problem]:
    """What no key shows by itself: sides on the grid, references of a grid square or more, a base for DreamO."""
    grid, sides, area = told.get("grid", 16), told.get("sides", [768, 1024]), told.get("reference_area", 512 * 512)
    if isinstance(grid, int) and grid > 0:
        whole = isinstance(sides, list) and all(isinstance(side, int) for side in sides) and len(sides) == 2
        if whole and sides[1] // grid * grid < max(1, sides[0]):
            yield Problem(f"{path}, key sides", f"no multiple of {grid} lies within {sides}", "Widen them")
        if isinstance(area, int) and area < grid * grid:
            yield Problem(f"{path}, key reference_area", f"{area} is less than a square of the grid", "Enlarge it")
    if told.get("generator") == "dreamo" and not told.get("base"):
        yield Problem(f"{path}, key base", "is missing", "The generator dreamo has a base model")


def _adapter_problems(where: str, adapter: Any) -> Iterable[Problem]:
    if not isinstance(adapter, dict):
        yield Problem(where, f"{adapter!r} is no table", "Begin it with [[adapters]]")
        return
    types: dict[str, Any] = {"repository": str, "file": str, "scale": (int, float), "naming": str}
    for key in ("repository", "file"):
        if key not in adapter:
            yield Problem(f"{where}, key {key}", "is missing", "Every adapter has it")
    for key, value in adapter.items():
        if key not in types:
            yield Problem(f"{where}, key {key}", "no adapter has this key", f"Adapters have: {', '.join(types)}")
        elif not isinstance(value, types[key]) or isinstance(value, bool):
            yield Problem(f"{where}, key {key}", f"{value!r} is of the wrong type", "See docs/model-cards.md")
        elif key == "scale" and not -1e6 < value < 1e6:
            yield Problem(f"{where}, key scale", f"{value!r} can't be used", "Give a number")
        elif key == "naming" and value not in NAMINGS:
            yield Problem(
                f"{where}, key naming", f"{value!r} is no naming", "Say published or diffusers, or nothing"
            )


NAMINGS = ("", "published", "diffusers")

_WHOLE: Mapping[str, Callable[[Any], bool]] = {
    "sides": lambda sides: (
        len(sides) == 2 and all(type(side) is int for side in sides) and 0 < sides[0] <= sides[1]
    ),
    "grid": lambda grid: grid > 0 and grid % 16 == 0,
    "area": lambda area: area > 0,
    "reference_area": lambda area: area >= 16 * 16,
    "steps": lambda steps: steps > 0,
    **{
        name: lambda number: 0 <= number < float("inf")
        for name in ("guidance", "first_step_guidance", "true_cfg", "negative_guidance", "true_cfg_start")
    },
    "text_tokens": lambda tokens: tokens > 0,
    "max_references": lambda most: 0 <= most <= 9,
    "alone": lambda kinds: all(isinstance(kind, str) for kind in kinds),
    "languages": lambda codes: all(isinstance(code, str) for code in codes),
}
_MEND = {
    "sides": "Give two whole numbers, the smaller first",
    "grid": "Give a multiple of 16",
    "area": "Give pixels",
    "reference_area": "Give at least 256 pixels",
    "steps": "Give one at least",
    **dict.fromkeys(
        ("guidance", "first_step_guidance", "true_cfg", "negative_guidance", "true_cfg_start"),
        "Give a number from 0",
    ),
    "text_tokens": "Give one at least",
    "max_references": "DreamO has places for 0 to 9",
    "alone": "Give names of kinds",
    "languages": 'Give codes as in ["en", "de"], or [] for any',
}

_TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "float | None": (int, float),
    "int | None": int,
    "bool": bool,
    "tuple[int, int]": list,
    "tuple[str, ...]": list,
    "tuple[Adapter, ...]": list,
}

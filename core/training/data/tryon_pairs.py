"""VITON-HD and DressCode: people with the garment that they wear, photographed alone.

VITON-HD/train_pairs.txt                 00000_00.jpg 00000_00.jpg
VITON-HD/train/image, cloth, [cloth-mask, image-parse-v3]
DressCode/train_pairs.txt                000000_0.jpg 000000_1.jpg 0      (or one file in each category)
DressCode/dresses/images, [cloth_mask, label_maps]       …_0.jpg person, …_1.jpg garment, …_4.png labels
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from core.errors import BadInput
from core.images import probe_file
from core.training.data.entries import Entry, Shown
from core.training.data.importing import Order, Skipped
from core.training.data.parse_maps import DRESS_CODE_PARTS, LIP_PARTS, part_mask, read_numbers

CATEGORIES = ("upper_body", "lower_body", "dresses")
"""DressCode's folders; a third column of its pairs counts them in this order."""
NOUNS = {"upper_body": "a top", "lower_body": "bottoms", "dresses": "a dress"}
BOTTOMS = {"a skirt": DRESS_CODE_PARTS["skirt"], "trousers": DRESS_CODE_PARTS["trousers"]}
"""What the lower body may wear: the category has both, and label maps tell which."""
PLAIN = 0.9
"""The share of what is worn below from which on it is the one or the other."""
WORN = {
    "upper_body": (DRESS_CODE_PARTS["upper clothes"],),
    "lower_body": tuple(BOTTOMS.values()),
    "dresses": (DRESS_CODE_PARTS["dress"],),
}
UPPER = (LIP_PARTS["upper clothes"], LIP_PARTS["dress"], LIP_PARTS["coat"])


def read_viton_hd(order: Order, skipped: Skipped) -> Iterator[Entry]:
    """Its pairs of one garment; rows that dress somebody in another one have no target."""
    place = order.folder / order.split
    for line, words in rows(order.folder / f"{order.split}_pairs.txt", skipped):
        image, cloth = words[0], words[-1]
        if Path(image).stem != Path(cloth).stem:
            continue
        name = Path(image).stem
        labels = first_file(place, ("image-parse-v3", "image-parse"), f"{name}.png")
        mask = first_file(place, ("cloth-mask", "cloth_mask"), cloth, f"{Path(cloth).stem}.png")
        files = (place / "image" / image, place / "cloth" / cloth, labels, mask)
        yield from pair(line, files, UPPER, "a top", order, skipped)


def read_dress_code(order: Order, skipped: Skipped) -> Iterator[Entry]:
    """All three categories, or those that are there."""
    for line, (category, image, cloth) in enumerate(dress_code_rows(order, skipped), start=1):
        place, name = order.folder / category, Path(image).stem.rpartition("_")[0]
        labels = first_file(place, ("label_maps",), f"{name}_4.png")
        mask = first_file(place, ("cloth_mask", "cloth-mask"), f"{name}_1.png")
        files = (place / "images" / image, place / "images" / cloth, labels, mask)
        yield from pair(line, files, WORN[category], NOUNS[category], order, skipped)


def dress_code_rows(order: Order, skipped: Skipped) -> Iterator[tuple[str, str, str]]:
    """(category, person, garment): from one file with a third column, or from one in each category."""
    name = f"{order.split}_pairs{'_paired' if order.split == 'test' else ''}.txt"
    if (order.folder / name).is_file():
        for line, words in rows(order.folder / name, skipped):
            if len(words) < 3 or words[2] not in ("0", "1", "2"):
                where = f"{order.folder / name}, line {line}"
                mend = "Say person, garment and 0 (upper body), 1 (lower body) or 2 (dress)"
                skipped.add(BadInput.at(where, f"{' '.join(words)!r} names no category", mend))
                continue
            yield CATEGORIES[int(words[2])], words[0], words[1]
        return
    there = [category for category in CATEGORIES if (order.folder / category / name).is_file()]
    if not there:
        mend = f"It stands in the folder itself, or in {', '.join(CATEGORIES)}"
        raise BadInput.at(str(order.folder / name), "is not there", mend)
    for category in there:
        for _, words in rows(order.folder / category / name, skipped):
            yield category, words[0], words[1]


def rows(path: Path, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file of pairs, with their numbers; those of a single word are left out.

    Raises:
        BadInput: there is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        mend = "Name the folder that has it; docs/data.md shows the layout"
        raise BadInput.at(str(path), f"can't be read ({error.strerror})", mend) from error
    for number, text in enumerate(lines, start=1):
        words = text.split()
        if len(words) == 1:
            skipped.add(BadInput.at(f"{path}, line {number}", f"{text!r} is no pair", "Say person and garment"))
        elif words:
            yield number, words


def first_file(place: Path, folders: Sequence[str], *names: str) -> Path | None:
    """The first of these files that is there."""
    for folder in folders:
        for name in names:
            if (place / folder / name).is_file():
                return place / folder / name
    return None


def pair(
    line: int,
    files: tuple[Path, Path, Path | None, Path | None],
    parts: Collection[int],
    noun: str,
    order: Order,
    skipped: Skipped,
) -> Iterator[Entry]:
    """One sample; nothing where a file is missing or damaged. `files`: person, garment, labels, garment's mask."""
    person, garment, labels, mask = files
    try:
        for picture in (person, garment):
            probe_file(picture)
        governs = worn(person, labels, parts, order.output) if labels is not None else None
        if labels is not None and noun == NOUNS["lower_body"]:
            noun = bottoms_of(labels)
    except BadInput as error:
        skipped.add(error)
        return
    shown = Shown(garment, "tryon", governs, mask)
    yield Entry(
        line, person, f"a person wearing {noun} from [ref#1]", f"a person wearing {noun}", (shown,), "tryon"
    )


def bottoms_of(labels: Path) -> str:
    """What a label map shows below: a skirt or trousers where nearly all of it is, else the word for either.

    Raises:
        BadInput: the labels can't be read.
    """
    numbers_HW = read_numbers(labels)
    counts = {noun: int((numbers_HW == part).sum()) for noun, part in BOTTOMS.items()}
    noun, most = max(counts.items(), key=lambda pair: pair[1])
    return noun if most >= PLAIN * sum(counts.values()) else NOUNS["lower_body"]


def worn(person: Path, labels: Path, parts: Collection[int], output: Path) -> Path:
    """The file of a mask that is made here: where the person wears the garment.

    Raises:
        BadInput: the labels can't be read, or show no such part.
    """
    shown = part_mask(labels, parts)
    if shown.getbbox() is None:
        raise BadInput.at(str(labels), "shows no part of this garment", "Leave the pair out")
    path = output / "masks" / f"{labels.parent.parent.name}-{person.stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown.save(path)
    return path

"""`dreamline prepare`: what a kind makes of pictures, on a sheet, before anything is planned."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.preparation.sheet import Entry
    from core.registry import Offer

REFUSED = 2

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""What a sheet is written as, by the ending of its name."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="[KIND=]FILE...")
@click.option("-k", "--kind", "kinds", multiple=True, help="As what: subject, identity ...; each of several.")
@click.option("--mask", type=click.Path(path_type=Path), help="White where the thing is; for a single FILE.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the kind.")
@click.option("-m", "--model", default="dreamo-v1.1", show_default=True, help="The model card that would see it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("prepared.png"),
    show_default=True,
    help="The sheet: PNG, JPEG or WebP.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    settings: Settings,
    files: tuple[str, ...],
    kinds: tuple[str, ...],
    mask: Path | None,
    options: tuple[str, ...],
    model: str,
    output: Path,
    as_json: bool,
) -> None:
    """Prepare pictures as a kind of reference and show what came of it.

    \b
    dreamline prepare mug.jpg --kind subject -o sheet.png
    dreamline prepare shop/*.jpg --kind tryon --option garment=dress
    dreamline prepare mug.jpg --kind subject --mask mug-mask.png
    dreamline prepare subject=mug.jpg tryon=dress.jpg identity=ana.jpg

    The sheet has a row for each picture and kind: as given, the mask of what is kept, what the model sees, and
    warnings, or why it is refused and what would help. No model is needed and nothing else is written.

    Exit code 2: a picture was refused; the sheet is written all the same.
    """  # noqa: D301 - click reads the \b
    from core import registry
    from core.cards import load_card
    from core.preparation.sheet import draw_sheet
    from orchestrator.cli.written import require_writable, write_file

    offers = registry.load(settings).kinds()
    card = load_card(model, settings)
    pairs = read_pairs(files, kinds, mask, output, offers)
    require_writable(output.parent)
    entries = []
    with _bar(len(pairs)) as advance:
        for path, offer in pairs:
            entries.append(prepare(path, offer, mask, options, card, settings))
            advance()
    written = io.BytesIO()
    draw_sheet([entry for entry, _ in entries]).save(written, FORMATS[output.suffix.lower()])
    write_file(output, written.getvalue())
    if as_json:
        print_json({"sheet": str(output.absolute()), "references": [told for _, told in entries]})
    else:
        for _, told in entries:
            tell(told)
        click.echo(f"Sheet: {output}")
    sys.exit(REFUSED if any(told["refused"] for _, told in entries) else 0)


def read_pairs(
    files: Sequence[str], kinds: Sequence[str], mask: Path | None, output: Path, offers: dict[str, Offer]
) -> list[tuple[Path, Offer]]:
    """The pictures with the kinds that they are to be prepared as; refuses what can be told before any is read.

    Raises:
        BadInput: with everything that is wrong.
    """
    from core.errors import BadInput, Problem
    from core.preparation.sheet import most_entries

    there = f"Kinds here: {', '.join(sorted(offers))}"
    named = [text.partition("=") for text in files]
    asked = [
        (Path(rest), [kind]) if equals and kind in offers else (Path(text), list(kinds))
        for text, (kind, equals, rest) in zip(files, named, strict=True)
    ]
    problems = [
        Problem("option --kind", f"there is no kind {kind!r}", there) for kind in kinds if kind not in offers
    ]
    problems += [
        Problem(str(path), "is to be prepared as nothing", f"Say --kind KIND, or KIND={path}. {there}")
        for path, as_what in asked
        if not as_what
    ]
    if mask is not None and len(files) > 1:
        problems.append(Problem("option --mask", f"{mask} can't belong to {len(files)} pictures", "Give one FILE"))
    if output.suffix.lower() not in FORMATS:
        mend = "End it in .png, .jpg or .webp"
        problems.append(Problem("option --output", f"{output} is no picture's name", mend))
    elif (count := sum(len(as_what) for _, as_what in asked)) > (most := most_entries(output.suffix)):
        mend = "Write a .png, or prepare fewer at once"
        problems.append(Problem("option --output", f"{output.suffix} holds {most} pictures, not {count}", mend))
    if output.resolve() in {path.resolve() for path, _ in asked}:
        problems.append(Problem("option --output", f"{output} would be written over", "Name another file"))
    BadInput.gather(problems)
    return [(path, offers[kind]) for path, as_what in asked for kind in as_what]


def prepare(
    path: Path, offer: Offer, mask: Path | None, options: Sequence[str], card: ModelCard, settings: Settings
) -> tuple[Entry, dict[str, Any]]:
    """One picture as one kind: its row of the sheet, and the same as JSON values.

    Raises:
        BadInput: an option is not the kind's, or the mask can't be read.
    """
    from core.asking import make_reference
    from core.errors import BadInput, PluginError, Problem
    from core.images import read_picture
    from core.preparation.sheet import entry
    from core.preparing import prepare_reference
    from orchestrator.cli.given import read_file, read_options

    problems: list[Any] = []
    told_options = read_options([f"it.{text}" for text in options], ["it"], problems).get("it", {})
    BadInput.gather(problems)
    masked = read_file(mask) if mask else None
    kind, given, prepared, reference = offer.condition.name, None, None, None
    refused: tuple[Any, ...] = ()
    try:
        data = read_file(path)
        reference, problems = make_reference(
            path.stem, data, str(path), offer, told_options, settings, "option --option", masked
        )
    except BadInput as error:
        refused = error.problems
    BadInput.gather(problems)
    try:
        if reference is not None:
            given = read_picture(data, str(path))
            prepared = prepare_reference(data, reference, offer.condition, card, settings, masked)
    except BadInput as error:
        refused = error.problems
    except PluginError as error:
        refused = (Problem(str(path), str(error), f"`dreamline plugins check {offer.plugin}` may tell more"),)
    method = f"{reference.method.name}/{reference.method.version}" if reference else "none"
    return entry(f"{path.name} as {kind}", method, given, prepared, refused), {
        "file": str(path),
        "kind": kind,
        "plugin": offer.pin,
        "method": reference.method.as_dict() if reference else None,
        "options": dict(reference.options) if reference else {},
        "size": list(prepared.picture.size) if prepared else None,
        "warnings": list(prepared.warnings) if prepared else [],
        "facts": dict(prepared.facts) if prepared else {},
        "refused": [problem.as_dict() for problem in refused],
    }


def tell(told: dict[str, Any]) -> None:
    """A few lines on one reference."""
    method = f" ({told['method']['name']})" if told["method"] else ""
    heading = f"{told['file']} as {told['kind']}{method}"
    if told["refused"]:
        click.echo(f"{heading}: {click.style('refused', fg='red')}")
        for problem in told["refused"]:
            click.echo(f"  {problem['what']}. {problem['mend']}")
        return
    click.echo(f"{heading}: {told['size'][0]} x {told['size'][1]}")
    for warning in told["warnings"]:
        click.echo(f"  {click.style('warning', fg='yellow')}: {warning}")


def _bar(count: int) -> Any:
    """A bar on terminals where there is more than a moment to wait."""
    import contextlib

    from rich.console import Console
    from rich.progress import Progress

    @contextlib.contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=count < 4 or not console.is_terminal) as shown:
            task = shown.add_task(f"{count} references", total=count)
            yield lambda: shown.advance(task)

    return bar()

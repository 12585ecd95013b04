"""`dreamline train data`: samples of one's own to train on: drawn, imported, joined, looked through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.needing import require_torch

if TYPE_CHECKING:
    from core.training.data.checking import Finding, Report
    from core.training.world.scenes import Canvas

EACH = 5
"""Findings of one sort that are written out unless all are asked for."""
LAYOUTS = ("subjects200k", "viton-hd", "dress-code")
FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("data")
def command() -> None:
    """Samples of one's own: a folder with pictures and a line for each sample in samples.jsonl.

    \b
    {"target": "targets/7.jpg", "caption": "a mug from [ref#1] on a desk",
     "references": [{"picture": "mugs/7.jpg", "kind": "subject", "governs": "masks/7.png"}]}

    \b
    dreamline train data draw --task subject -n 200 -o drawn     write samples of the drawn world
    dreamline train data import viton-hd VITON-HD -o garments    samples out of a published data set
    dreamline train data join drawn -n 100 -o pairs              samples of two subjects out of those of one
    dreamline train data check garments                          what is wrong in which line
    dreamline train run mini --start kept --data garments=0.3    train on it

    docs/data.md describes every key, and how the data sets of DreamO's paper are made.
    """  # noqa: D301 - click reads the \b


@command.command()
@FOLDER
@click.option("--least", type=click.IntRange(1), default=64, show_default=True, help="Pixels of a target's side.")
@click.option("--all", "everything", is_flag=True, help=f"Every finding, not {EACH} of each sort.")
@AS_JSON
@click.pass_obj
def check(settings: Settings, folder: Path, least: int, everything: bool, as_json: bool) -> None:
    """Look through the samples in DIR: what is wrong in which line, and what there is.

    Every picture is opened. Errors: lines that can't be read, pictures that are missing, damaged or too small,
    masks that are empty or of another shape, placeholders without a reference, references without a placeholder.
    Warnings: kinds that are not installed, references without a mask, masks that are full, and pictures that come
    again: a reference that is the target or a crop of it, a target of another line.

    Exit code 1: there are errors. Training refuses a folder that has lines, or pictures' headers, that can't be
    read; samples with damaged pictures, or with masks that are missing, empty or of another shape, it leaves out
    and names in its log; small pictures it takes as they are.
    """
    require_torch()
    from core import registry
    from core.training.data.checking import check_folder

    def progressed(done: int, total: int) -> None:
        if done % 500 == 0 and not as_json:
            click.echo(f"{done:,} of {total:,} lines", err=True)

    report = check_folder(folder, registry.load(settings).kinds(), least, progressed)
    if as_json:
        print_json(report.as_dict())
    else:
        describe(report, everything=everything)
    raise SystemExit(1 if report.errors else 0)


def describe(report: Report, *, everything: bool) -> None:
    """Findings by sort, then the numbers."""
    by_code: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_code.setdefault(finding.code, []).append(finding)
    for found in sorted(by_code.values(), key=lambda found: found[0].level):
        for finding in found if everything else found[:EACH]:
            colour = "red" if finding.level == "error" else "yellow"
            click.echo(f"{click.style(finding.level, fg=colour)}: {finding}")
        if len(found) > EACH and not everything:
            click.echo(f"  … and {len(found) - EACH:,} more of this sort (--all shows them)")
    for name, counts in (
        ("tasks", report.tasks),
        ("references", report.kinds),
        ("targets by shorter side", report.sides),
        ("commonest sizes", report.sizes),
    ):
        told = ", ".join(f"{key} {count:,}" for key, count in counts.items()) or "none"
        click.echo(f"{name}: {told}")
    click.echo(
        f"captions with placeholders: {report.named:,}; references with a mask in the target: {report.masked:,}"
    )
    state = "can be trained on" if not report.errors else "has errors"
    numbers = f"{report.samples:,} samples, {report.errors:,} errors, {report.warnings:,} warnings"
    click.echo(f"{report.folder} {state}: {numbers}")


@command.command()
@click.option("--world", type=click.Choice(["small", "full"]), default="small", show_default=True)
@click.option("--task", required=True, help="What the samples show: subject, tryon, style, palette …")
@click.option("-n", "--number", type=click.IntRange(1), default=200, show_default=True, help="Samples.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first one.")
@click.option(
    "--split",
    type=click.Choice(["train", "new", "held-out"]),
    default="train",
    show_default=True,
    help="Which combinations are shown; see docs/training.md.",
)
@click.option("--size", default="128x128", show_default=True, help="Of targets, in multiples of 16.")
@click.option("--reference-size", default="96x96", show_default=True, help="Of references.")
@OUTPUT
def draw(
    world: str, task: str, number: int, first: int, split: str, size: str, reference_size: str, output: Path
) -> None:
    """Write samples of the drawn world as a folder, so that everything can be tried without any download."""
    require_torch()
    from core.training.data.drawn import draw_samples
    from core.training.data.writing import write_samples

    samples = draw_samples(
        world, task, range(first, first + number), read_canvas(size), read_canvas(reference_size), split
    )
    written = write_samples(samples, output)
    click.echo(f"{written:,} samples of {task} in {output}", err=True)
    click.echo(str(output))


def read_canvas(told: str) -> Canvas:
    """`128x96`.

    Raises:
        BadInput: these are no two numbers.
    """
    from core.errors import BadInput
    from core.training.world.scenes import Canvas

    width, _, height = told.partition("x")
    if not width.isdigit() or not height.isdigit():
        raise BadInput.at("option --size", f"{told!r} is no size", "Say WIDTHxHEIGHT, like 128x128")
    return Canvas(int(width), int(height))


@command.command("import")
@click.argument("layout", type=click.Choice(LAYOUTS))
@FOLDER
@OUTPUT
@click.option("--split", default="train", show_default=True, help="Which pairs: train or test.")
@click.option("-n", "--number", type=click.IntRange(1), help="At most so many samples [all].")
@click.option(
    "--placeholders",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of captions that name their reference, [ref#1].",
)
@click.option(
    "--quality",
    type=click.IntRange(0, 5),
    default=5,
    show_default=True,
    help="Least, where a set is rated (0 to 5).",
)
@click.option(
    "--panel", type=click.IntRange(16), help="Pixels of a panel's side, where it is neither 512 nor 1024."
)
def bring(
    layout: str,
    folder: Path,
    output: Path,
    split: str,
    number: int | None,
    placeholders: float,
    quality: int,
    panel: int | None,
) -> None:
    """Make samples out of a published data set that lies in DIR as it was downloaded.

    \b
    subjects200k  *.parquet, or pictures of two panels with metadata.jsonl: each panel is a reference for the other
    viton-hd      train/image, train/cloth and train_pairs.txt; parse maps and cloth masks where they are
    dress-code    dresses, upper_body, lower_body, each with images and train_pairs.txt; label maps where they are

    Pictures stay where they are and are named by their paths; what has to be made (panels, masks) is written into
    OUTPUT. Licences are those of the data sets.
    """  # noqa: D301 - click reads the \b
    require_torch()
    from core.training.data.importing import Order, import_layout

    order = Order(folder, output, split, number, placeholders, quality, panel)
    conclude(import_layout(layout, order), output)


@command.command()
@FOLDER
@OUTPUT
@click.option("-n", "--number", type=click.IntRange(1), default=200, show_default=True, help="Samples to make.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other pairs.")
def join(folder: Path, output: Path, number: int, seed: int) -> None:
    """Make samples of two references out of those of one in DIR: two targets become two columns of one.

    Each target is cut to the half that shows its thing; masks move along. Samples whose thing is too wide for a
    half, or whose mask is missing, are left out.
    """
    require_torch()
    from core.training.data.joining import join_folder
    from core.training.data.writing import write_samples

    written = write_samples(join_folder(folder, number, seed), output)
    conclude([f"{written:,} samples of two columns"], output)


def conclude(said: Sequence[str], output: Path) -> None:
    """What was made, and where."""
    for line in said:
        click.echo(line, err=True)
    click.echo(f"`dreamline train data check {output}` looks through it.", err=True)
    click.echo(str(output))

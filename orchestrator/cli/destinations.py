"""`dreamline destinations`: the channels that deliveries can be made for, with what they ask of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from orchestrator.cli import print_json

if TYPE_CHECKING:
    from orchestrator.delivering.destinations import Destination


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    r"""List the channels that `dreamline deliver --to NAME` makes files for.

    What each asks of pictures is data with a date: channels change their minds. A delivery file says otherwise, or
    adds one of your own.
    """
    from orchestrator.delivering.destinations import presets

    found = presets().values()
    if as_json:
        print_json([asdict(one) for one in found])
        return
    width = max(len(one.name) for one in found)
    for one in found:
        size = "x".join(map(str, one.size))
        most = f", at most {one.most_kb / 1000:g} MB" if one.most_kb else ""
        click.echo(f"{click.style(one.name.ljust(width), bold=True)}  {size} {one.kind}{most}")
        click.echo(f"  {'; '.join((one.title, *_rules(one)))}")
    click.echo(f"As of {min(one.seen for one in found)}; --json has the page of each.")


def _rules(one: Destination) -> Iterator[str]:
    safe = [f"{share:g} % at the {side}" for side, share in asdict(one.safe).items() if share]
    if safe:
        yield f"covers {', '.join(safe)}"
    if one.fit == "pad":
        yield "all of the image on a ground, not the middle of it"
    if one.white:
        yield "the ground has to be white"
    if not one.copy:
        yield "nothing may stand on it"

"""`dreamline demo`: a first campaign, with pictures that come along."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from core.settings import Settings, default_home
from orchestrator.cli.needing import require_torch
from orchestrator.cli.run import Asked, run_campaign

DEMO = "summer-drop"


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for the images [outputs/summer-drop]."
)
@click.pass_obj
def command(settings: Settings, output: Path | None) -> None:
    """Make the images of the example campaign `summer-drop`, with nothing else installed or running.

    The first run makes 48 images with dreamo-mini, the small model that comes along; the second makes none, since
    all of them exist.
    """
    require_torch()
    code = run_campaign(settings, example(DEMO) / "campaign.yaml", Asked(output))
    home = "" if settings.home == default_home() else f"DREAMLINE_HOME={settings.home} "
    program = "dreamline" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
    click.echo(f"Review them in a browser: {home}{program} dashboard")
    click.echo(f"Then write what you approved: {home}{program} deliver {DEMO}")
    sys.exit(code)


def example(name: str) -> Path:
    """The folder of an example: beside the package in a checkout, inside it in an installed wheel."""
    import dreamline

    package = Path(dreamline.__file__).parent
    inside = package / "examples" / name
    return inside if inside.exists() else package.parent / "examples" / name

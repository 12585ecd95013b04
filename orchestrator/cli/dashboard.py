"""`dreamline dashboard`: campaigns and their images in a browser."""

from __future__ import annotations

import importlib
import os
import sys

import click

from core.errors import DreamlineError
from core.settings import Settings

SERVING = "dashboard.serving"
"""The dashboard stands above the orchestrator, which knows it by name alone."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need --login.")
@click.option("--port", default=8501, show_default=True, help="Port; 0: any that is free.")
@click.option("--open/--no-open", "open_it", default=None, help="Open a browser [where there is a screen].")
@click.option(
    "--as", "member", default="", metavar="NAME", help="Have the rights of this member, not all of them."
)
@click.option("--login", is_flag=True, help="People log in by OpenID Connect; docs/review.md says how.")
@click.option("-w", "--workers", type=int, help="Processes that make images here [1 with the embedded database].")
@click.pass_obj
def command(
    settings: Settings, host: str, port: int, open_it: bool | None, member: str, login: bool, workers: int | None
) -> None:
    """Open the dashboard in a browser: campaigns, review, images.

    On this machine alone, whoever sits here has all rights. For others, people log in and have the rights that
    `dreamline people` gave them.
    """
    try:
        serving = importlib.import_module(SERVING)
    except ModuleNotFoundError as error:
        raise DreamlineError(
            f"{error.name} is not installed: the dashboard needs `pip install 'dreamline[dashboard]'`"
        ) from error

    def ready(url: str) -> None:
        click.echo(f"Dashboard: {url} (Ctrl-C ends it; nothing is lost)")
        if open_it is True or (open_it is None and _has_screen()):
            click.launch(url)

    makers = workers if workers is not None else int(settings.embedded)
    serving.serve(settings, host, port, ready, member=member, login=login, workers=makers)


def _has_screen() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))

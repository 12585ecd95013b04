"""What `--watch` does: shows something again and again until it is over or Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console, RenderableType
from rich.live import Live

from orchestrator import interrupts

EVERY = 1.0
"""Seconds between two looks; longer where a look itself takes long."""

Seen = TypeVar("Seen")


def follow(
    read: Callable[[], Seen],
    draw: Callable[[Seen], RenderableType],
    tell: Callable[[Seen], Any],
    over: Callable[[Seen], bool],
    *,
    as_json: bool,
) -> None:
    """Shows what is read until it is over or Ctrl-C, which is no error.

    A terminal is drawn anew each time; a pipe gets the end alone, and with `as_json` one line a change.

    Args:
        read: looks.
        draw: for people.
        tell: as JSON values.
        over: whether nothing more can change.
        as_json: JSON lines.
    """
    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else None
    last, seen = "", None
    try:
        with live if live is not None else contextlib.nullcontext():
            while True:
                interrupts.obey()
                began = time.monotonic()
                seen = read()
                if live is not None:
                    live.update(draw(seen), refresh=True)
                elif as_json:
                    last = _print_change(tell(seen), last)
                if over(seen):
                    break
                time.sleep(max(EVERY, 5 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        click.echo("No longer watching; what was watched goes on.", err=True)
    if live is None and not as_json and seen is not None:
        console.print(draw(seen), soft_wrap=True)


def _print_change(told: Any, last: str) -> str:
    line = json.dumps(told, ensure_ascii=False, default=str)
    if line != last:
        click.echo(line)
    return line

"""Commands that read a brief say how many of its pictures were fetched, where some lie at addresses."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

EVERY_SECONDS = 2.0


def show_fetching() -> Callable[[int, int], None]:
    """Says on standard error how far it is: now and then, and at the end if it took long enough to be told."""
    began = last = time.monotonic()

    def show(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY_SECONDS or (done == of and last > began):
            last = now
            click.echo(f"fetching pictures: {done} of {of}", err=True)

    return show

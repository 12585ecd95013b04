"""`dreamline worker`: a process that works on what is planned."""

from __future__ import annotations

import click

from core.settings import Settings


@click.command()
@click.option(
    "-q",
    "--queue",
    "queues",
    type=click.Choice(["cpu", "gpu"]),
    multiple=True,
    help="cpu prepares references, gpu makes images; give both for both. Default: both.",
)
@click.option("--while-parent", type=int, hidden=True)
@click.pass_obj
def command(settings: Settings, queues: tuple[str, ...], while_parent: int | None) -> None:
    """Work on planned images until told to stop.

    Start as many as you like, on as many machines as see the same database, broker and storage. SIGTERM or
    Ctrl-C ends after the batch under way; a second one gives the batch back at once.
    """
    from orchestrator.working.worker import run_worker

    run_worker(settings, queues or ("cpu", "gpu"), while_parent)

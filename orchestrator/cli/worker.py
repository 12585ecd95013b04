"""`dreamline worker`: a process that works on what is planned."""

from __future__ import annotations

import sys

import click

from core.settings import Settings
from orchestrator.cli import print_json

SOMETHING_LEFT = 3


@click.command()
@click.option(
    "-q",
    "--queue",
    "queues",
    type=click.Choice(["cpu", "gpu"]),
    multiple=True,
    help="cpu prepares references, gpu makes images; give both for both. Default: both.",
)
@click.option("--drain", is_flag=True, help="Work off what is ready, then end; exit code 3: something is left.")
@click.option("--json", "as_json", is_flag=True, help="With --drain: print what is left as one JSON document.")
@click.option("--while-parent", type=int, hidden=True)
@click.pass_obj
def command(
    settings: Settings, queues: tuple[str, ...], drain: bool, as_json: bool, while_parent: int | None
) -> None:
    """Work on planned images until told to stop.

    Start as many as you like, on as many machines as see the same database, broker and storage: one for each
    graphics card, which it is told by DREAMLINE_DEVICE=cuda:0, cuda:1 and so on, and some with `-q cpu`.

    A worker keeps the model that it has loaded for as long as there is work for it, at most DREAMLINE_STAY_SECONDS
    while other work waits. SIGTERM or Ctrl-C ends after the batch under way; a second one gives the batch back at
    once.
    """
    from orchestrator.working.worker import drain_worker, run_worker

    chosen = tuple(dict.fromkeys(queues)) or ("cpu", "gpu")
    if not drain:
        run_worker(settings, chosen, while_parent)
        return
    left = drain_worker(settings, chosen)
    if as_json:
        print_json(left.as_dict())
    else:
        click.echo(f"Left: {left}." if left else "Nothing is left.")
    sys.exit(SOMETHING_LEFT if left else 0)

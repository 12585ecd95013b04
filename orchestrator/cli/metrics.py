"""`dreamline metrics`: figures about all work and all workers, printed once or served for Prometheus."""

from __future__ import annotations

import signal
import sys

import click

from core.settings import Settings
from orchestrator.cli import print_json


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Serve them on this port until told to stop; 0: any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address for --port; 0.0.0.0: every one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, not Prometheus' format.")
@click.pass_obj
def command(settings: Settings, port: int | None, host: str, as_json: bool) -> None:
    """Figures for Prometheus: queue depth, oldest work, leases, workers, images, campaigns, bytes.

    They are read from Postgres, so one such process stands for all workers. Without --port they are printed
    once. With it, /metrics has them, /healthz says that the process lives, and /readyz whether database, broker
    and storage answer. A worker answers about itself where DREAMLINE_METRICS_PORT names a port. The alarms that
    go with them are in docker/alerts.yaml; docs/operations.md says what each means and what to do.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    from orchestrator.operating.figures import Figures
    from orchestrator.operating.health import Health
    from orchestrator.operating.serving import Answers
    from orchestrator.records.database import Database

    if port is not None and as_json:
        raise click.UsageError("--json prints once, --port serves: give one of them.")
    database = Database(settings)
    health = Health(settings, database)
    registry = CollectorRegistry()
    registry.register(Figures(settings, database, health))
    if port is not None:
        answers = Answers(host, port, registry, health, dict)
        click.echo(f"http://{host}:{answers.port}/metrics (Ctrl-C ends it)", err=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        answers.serve_forever()
    elif as_json:
        samples = [sample for metric in registry.collect() for sample in metric.samples]
        print_json([{"name": one.name, "labels": one.labels, "value": one.value} for one in samples])
    else:
        click.echo(generate_latest(registry).decode(), nl=False)
    database.close()

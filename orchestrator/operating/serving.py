"""Operating: `/metrics`, `/healthz` and `/readyz` by HTTP, beside whatever the process does."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from core.errors import BadInput
from core.settings import Settings
from orchestrator.operating.health import Health, Part
from orchestrator.operating.meter import SILENT, Meter
from orchestrator.records.database import Database

log = logging.getLogger("dreamline.metrics")

Alive = Callable[[], Mapping[str, float]]
"""By queue, seconds since the thread that does its work was awake."""


class Answers(ThreadingHTTPServer):
    """A small server for machines that ask, in threads of its own.

    `/healthz` is 200 while the process lives and none of its threads is stuck, else 503: restart it.
    `/readyz` is 200 while database, broker and storage answer, else 503: it waits for them by itself.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        alive: Alive,
        stuck_after: float = SILENT,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Asked)
        except OSError as error:
            raise BadInput.at(
                f"address {host}:{port}", f"can't be had ({error.strerror or error})", "Name another port"
            ) from error
        self._registry = registry
        self._health = health
        self._alive = alive
        self._stuck_after = stuck_after

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        """Answers from now on, in a thread that ends with the process."""
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Status, media type and body for a path."""
        if path == "/metrics":
            encode, media_type = choose_encoder(accept)
            return 200, media_type, encode(self._registry)
        if path == "/healthz":
            return self._living()
        if path == "/readyz":
            return _ready(self._health.ready())
        told = {"error": "there is nothing here", "paths": ["/metrics", "/healthz", "/readyz"]}
        return 404, JSON, _json(told)

    def _living(self) -> tuple[int, str, bytes]:
        silences = self._alive()
        stuck = any(seconds > self._stuck_after for seconds in silences.values())
        told = {"status": "stuck" if stuck else "ok", "silent_seconds": silences}
        return (503 if stuck else 200), JSON, _json(told)


JSON = "application/json; charset=utf-8"


def _ready(parts: Sequence[Part]) -> tuple[int, str, bytes]:
    ready = all(one.ok for one in parts)
    told = {"status": "ok" if ready else "not ready", "parts": [one.as_dict() for one in parts]}
    return (200 if ready else 503), JSON, _json(told)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"


class _Asked(BaseHTTPRequestHandler):
    """One request. `timeout` is seconds that a client may take to ask."""

    timeout = 10
    server_version = "dreamline"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        assert isinstance(self.server, Answers)
        status, media_type, body = self.server.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        log.debug(format, *args)


def serve_worker(settings: Settings, database: Database, meter: Meter) -> Answers | None:
    """What a worker answers about itself, where `DREAMLINE_METRICS_PORT` names a port.

    A port that is taken, as by another worker with the same settings, is no reason not to work.
    """
    if not settings.metrics_port:
        return None
    try:
        answers = Answers(
            settings.metrics_host,
            settings.metrics_port,
            meter.registry,
            Health(settings, database),
            meter.silences,
            stuck_after=max(SILENT, 3 * settings.poll_seconds),
        )
    except BadInput as error:
        log.warning("no metrics of this worker (DREAMLINE_METRICS_PORT): %s", error)
        return None
    answers.start()
    log.info("metrics on %s:%d", settings.metrics_host, answers.port)
    return answers

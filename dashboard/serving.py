"""Dashboard: the server: Streamlit's pages and our routes in one process, on the loopback by default."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import BadInput
from core.settings import Settings
from dashboard.keeping import workers_on_demand
from dashboard.look import THEME
from dashboard.office import close_office, open_office
from dashboard.routes import routes

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NEAR = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how to reach what listens everywhere

POLICY = "; ".join(
    [
        "default-src 'self'",
        # The grid's script comes as a blob; the one inline script of Streamlit's page is named by its hash.
        "script-src 'self' blob: {scripts}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


def policy() -> str:
    """The Content Security Policy of every answer."""
    page = (Path(str(resources.files("streamlit"))) / "static" / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inline)
    return POLICY.format(scripts=" ".join(f"'sha256-{one}'" for one in hashes))


class Guarded:
    """Adds the headers that every answer bears; an answer's own policy wins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = [(b"content-security-policy", policy().encode()), *_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in self._headers if pair[0] not in present)
            await send(message)

        await self._app(scope, receive, send_guarded)


NOTHING = JSONResponse({"error": "there is nothing here"}, 404, headers={"Cache-Control": "no-store"})

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


def serve(
    settings: Settings,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    member: str = "",
    login: bool = False,
    workers: int = 0,
) -> None:
    """Serves the dashboard until it is told to stop.

    Args:
        settings: where everything is.
        host: where to listen.
        port: where to listen; 0: any that is free.
        ready: called with the address once it answers.
        member: act as this member, not as the machine's user with all rights.
        login: people log in by OpenID Connect.
        workers: processes that make images here while campaigns run.

    Raises:
        BadInput: the port is taken, or others could get in without a login.
    """
    require_login(host, login=login)
    port = free_port(host, port)
    app = make_app(settings, member=member, login=login, workers=workers)
    url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else _bracketed(host)}:{port}"  # noqa: S104
    _when_ready(f"http://{_bracketed(_NEAR.get(host, host))}:{port}", lambda: ready(url))
    app.run(config=options(host, port))


def require_login(host: str, *, login: bool) -> None:
    """Refuses to listen to other machines without a login.

    Raises:
        BadInput: everybody who reaches this machine would have all rights.
    """
    if host not in LOOPBACK and not login:
        raise BadInput.at(
            "option --host",
            f"{host!r} lets other machines in, and without a login everybody there would have all rights",
            "Add --login (docs/review.md says how), or leave --host out and use an SSH tunnel",
        )


def free_port(host: str, port: int) -> int:
    """The port, when nobody has it.

    Raises:
        BadInput: it is taken, or the address is none of this machine's.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInput.at("option --port", f"{host}:{port} can't be had ({reason})", "Try --port 0") from error
        return int(one.getsockname()[1])


def make_app(settings: Settings, *, member: str = "", login: bool = False, workers: int = 0) -> Any:
    """The application, for any ASGI server; arguments as of `serve`."""
    import streamlit as st

    places = list(sys.path)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        # Streamlit has put the folder of the program that started it first: with `python -m orchestrator.cli`
        # its `plugins.py` would stand before the package of that name.
        sys.path[:] = places
        office = open_office(settings, member=member, login=login)
        with workers_on_demand(office.settings, office.database, workers):
            yield {}
        close_office()

    class App(st.App):  # type: ignore[misc]
        """Says itself that there is nothing outside the store: Streamlit answers such paths before any route."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            outside = scope["type"] == "http" and not is_ours(scope["path"])
            await (Guarded(NOTHING) if outside else super().__call__)(scope, receive, send)

    return App(script(), routes=routes(), lifespan=lifespan, middleware=[Middleware(Guarded)])


def is_ours(path: str) -> bool:
    """Whether a path of pictures has the shape that pictures of the store have; other paths are not judged."""
    return not path.startswith("/img/") or re.fullmatch(r"/img/[a-z]+/[0-9a-f]{64}", path) is not None


def script() -> Path:
    """The page that Streamlit runs, wherever the package is installed."""
    return Path(str(resources.files("dashboard"))) / "entrance" / "app.py"


def options(host: str, port: int, *, watch: bool = False) -> dict[str, Any]:
    """Streamlit's options: the look, and what a tool for work does not need."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "auto" if watch else "none",
        "server.maxUploadSize": 400,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "auto" if watch else "viewer",
        "client.showErrorDetails": "full" if watch else "type",
        **THEME,
    }


def _when_ready(url: str, then: Callable[[], None], seconds: float = 60.0) -> None:
    """Calls `then` once the server answers at `url`, from a thread of its own."""
    from urllib.request import urlopen

    def wait() -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(f"{url}/healthz", timeout=2):  # noqa: S310 - our own http
                then()
                return
            time.sleep(0.1)

    threading.Thread(target=wait, daemon=True).start()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

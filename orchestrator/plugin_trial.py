"""A plugin's checks in a process of their own: one that hangs, dies or eats memory fails a check, no more.

The process is `python -m orchestrator.plugin_trial`; it tells what it begins and what it found, a line of JSON
each. Where it ends before its time, that check has failed and another process goes on with the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from core.conformance.kit import CHECKS, Finding, examine, promise, put_on_trial
from core.errors import BadInput, DreamlineError, Problem
from core.hookspecs import PROJECT
from core.settings import Settings

LOADS = "loads"
"""The check that comes before all others: the plugin can be imported and its hooks are known."""

LOADS_PROMISE = "It can be imported, and implements only hooks that there are."


@dataclass(frozen=True, slots=True)
class Order:
    """What to check, and with what."""

    name: str
    checks: tuple[str, ...] = (LOADS, *CHECKS)
    picture: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a check is ended from outside: seconds for each, bytes of memory for the process."""

    seconds: float = 120.0
    memory: int = 6 * 10**9


def check_installed(order: Order, limits: Limits | None = None) -> Iterator[Finding]:
    """Runs the checks on an installed plugin and yields what each one found.

    Raises:
        BadInput: no plugin is called so, or the picture is not there.
    """
    installed = sorted({point.name for point in entry_points(group=PROJECT)})
    if order.name not in installed:
        mend = f"Installed: {', '.join(installed)}. `pip install -e FOLDER` installs a package under work"
        raise BadInput.at("NAME", f"no plugin is called {order.name!r}", mend)
    if order.picture is not None and not Path(order.picture).is_file():
        raise BadInput.at("option --picture", f"there is no file {order.picture}", "Check the path")
    left = list(order.checks)
    while left:
        for finding in _one_process(order, left, limits or Limits()):
            left.remove(finding.check)
            yield finding
            if finding.check == LOADS and not finding.kept:
                return


def _one_process(order: Order, left: Sequence[str], limits: Limits) -> Iterator[Finding]:
    """Findings of one process; the last one may be that it ended."""
    told = json.dumps(
        {"name": order.name, "checks": left, "picture": order.picture, "options": dict(order.options)}
    )
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.plugin_trial", told],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            waiting = list(left)
            for message in _messages(process, limits):
                if isinstance(message, str):
                    yield Finding(waiting[0], _promise(waiting[0]), (_ended(order.name, message, errors),))
                    return
                waiting.pop(0)
                yield Finding.from_dict(message)
            if waiting:
                what = f"ended its process with exit code {process.wait()}"
                yield Finding(waiting[0], _promise(waiting[0]), (_ended(order.name, what, errors),))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _messages(process: subprocess.Popen[str], limits: Limits) -> Iterator[dict[str, Any] | str]:
    """Findings as JSON values, until the process ends; a text says why it had to be ended."""
    import psutil

    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    seen, began = psutil.Process(process.pid), time.monotonic()
    while True:
        try:
            line = lines.get(timeout=0.05)
        except queue.Empty:
            if time.monotonic() - began > limits.seconds:
                yield f"did not come back within {limits.seconds:.0f} s"
                return
            with contextlib.suppress(psutil.Error):
                if seen.memory_info().rss > limits.memory:
                    yield f"took more than {limits.memory / 1e9:.1f} GB of memory"
                    return
            continue
        if line is None:
            return
        began = time.monotonic()
        yield json.loads(line)


def _read(stream: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    with contextlib.suppress(ValueError):
        for line in stream or ():
            lines.put(line)
    lines.put(None)


def _promise(check: str) -> str:
    return LOADS_PROMISE if check == LOADS else promise(check)


def _ended(name: str, what: str, errors: IO[bytes]) -> Problem:
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    last = f" (it said: {said[-1][:200]})" if said else ""
    return Problem(f"plugin {name}", what + last, "Find out what it waits for, leaves by or hoards")


def main(arguments: Sequence[str]) -> None:
    """The process: findings go to the standard output that it was given, prints to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    told = json.loads(arguments[0])
    for finding in _findings(Order(**{**told, "checks": tuple(told["checks"])})):
        wire.write(json.dumps(finding.as_dict()) + "\n")
        wire.flush()


def _findings(order: Order) -> Iterator[Finding]:
    from core import registry

    settings, began = Settings.from_env(), time.perf_counter()
    picture = Path(order.picture).read_bytes() if order.picture is not None else None
    try:
        beside = registry.load(settings)
        plugin = beside.manager.get_plugin(order.name)
        if plugin is None:
            raise DreamlineError(_absent(order.name, beside.broken))
        trial = put_on_trial(plugin, order.name, settings, beside=beside, picture=picture, options=order.options)
        # A kind that is no kind, or a hook that raises, would spoil every check: it is told once.
        trial.registry.kinds()
    except DreamlineError as error:
        problem = Problem(f"plugin {order.name}", str(error), "Mend what it names")
        yield Finding(LOADS, LOADS_PROMISE, (problem,), seconds=round(time.perf_counter() - began, 2))
        return
    for check in order.checks:
        if check == LOADS:
            yield Finding(LOADS, LOADS_PROMISE, seconds=round(time.perf_counter() - began, 2))
        else:
            yield examine(trial, check)


def _absent(name: str, broken: Mapping[str, Any]) -> str:
    if name in broken:
        return f"can't be loaded: {broken[name].error}"
    return "is left out by DREAMLINE_PLUGINS or DREAMLINE_BLOCK"


if __name__ == "__main__":
    main(sys.argv[1:])

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
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from core import registry
from core.conformance.kit import CHECKS, Finding, examine, promise, put_on_trial
from core.conformance.prepared import digest
from core.conformance.trial import NothingTaken, Trial
from core.conformance.watching import empty_folder
from core.errors import BadInput, DreamlineError, Problem
from core.hookspecs import PROJECT
from core.settings import Settings

LOADS = "loads"
"""The check that comes before all others: the plugin can be imported and its hooks are known."""

LOADS_PROMISE = "It can be imported, and implements only hooks that there are."


ELSEWHERE = "elsewhere"
"""The check that needs a second process, where texts hash otherwise and sets have another order."""

ELSEWHERE_PROMISE = "Another process comes to the same bytes."


@dataclass(frozen=True, slots=True)
class Order:
    """What to check, and with what."""

    name: str
    checks: tuple[str, ...] = (LOADS, *CHECKS, ELSEWHERE)
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
            left = [check for check in left if check != finding.check]
            yield finding
            if finding.check == LOADS and not finding.kept:
                return


def _one_process(order: Order, left: Sequence[str], limits: Limits) -> Iterator[Finding]:
    """Findings of one process; the last one may be that it ended."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            _command(replace(order, checks=tuple(left))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            waiting = list(left)
            for message in _messages(order.name, process, limits):
                if isinstance(message, Problem):
                    yield _failed(waiting[0], message, errors)
                    return
                waiting.pop(0)
                yield Finding.from_dict(message)
            if waiting:
                what = f"ended its process with exit code {process.wait()}"
                mend = "Find what ends it: exit(), os._exit() or a crash in C code"
                yield _failed(waiting[0], Problem(f"plugin {order.name}", what, mend), errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _command(order: Order) -> list[str]:
    told = asdict(replace(order, picture=order.picture and str(Path(order.picture).absolute())))
    return [sys.executable, "-P", "-m", "orchestrator.plugin_trial", json.dumps(told)]


def _messages(name: str, process: subprocess.Popen[str], limits: Limits) -> Iterator[Mapping[str, Any] | Problem]:
    """Findings as JSON values, until the process ends; a problem says why it has to be ended."""
    import psutil

    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    seen, began = psutil.Process(process.pid), time.monotonic()
    while True:
        try:
            line = lines.get(timeout=0.05)
        except queue.Empty:
            if time.monotonic() - began > limits.seconds:
                what = f"did not come back within {limits.seconds:.0f} s"
                yield Problem(f"plugin {name}", what, "Find out what it waits for")
                return
            with contextlib.suppress(psutil.Error):
                if seen.memory_info().rss > limits.memory:
                    what = f"took more than {limits.memory / 1e9:.1f} GB of memory"
                    yield Problem(f"plugin {name}", what, "Resize to bench.area before costly work")
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
    own = {LOADS: LOADS_PROMISE, ELSEWHERE: ELSEWHERE_PROMISE}
    return own[check] if check in own else promise(check)


def _failed(check: str, problem: Problem, errors: IO[bytes]) -> Finding:
    """A check whose process ended, with the last line that it wrote to standard error."""
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    last = f" (it said: {said[-1][:200]})" if said else ""
    return Finding(check, _promise(check), (replace(problem, what=problem.what + last),))


def main(arguments: Sequence[str]) -> None:
    """The process: findings go to the standard output that it was given, prints to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    told = json.loads(arguments[0])
    order = Order(**{**told, "checks": tuple(told["checks"])})
    if not order.checks:  # the other process of `_elsewhere`
        with empty_folder():
            wire.write(digest(_trial(order)))
        wire.close()
        return
    for finding in _findings(order):
        wire.write(json.dumps(finding.as_dict()) + "\n")
        wire.flush()


def _trial(order: Order) -> Trial:
    """The plugin as it is installed.

    Raises:
        DreamlineError: it can't be loaded, or its hooks or kinds are none.
    """
    settings = Settings.from_env()
    beside = registry.load(settings)
    plugin = beside.manager.get_plugin(order.name)
    if plugin is None:
        error = beside.broken[order.name].error if order.name in beside.broken else ""
        left_out = "is left out by DREAMLINE_PLUGINS or DREAMLINE_BLOCK"
        raise DreamlineError(f"can't be loaded: {error}" if error else left_out)
    picture = Path(order.picture).read_bytes() if order.picture is not None else None
    trial = put_on_trial(plugin, order.name, settings, beside=beside, picture=picture, options=order.options)
    # A kind that is no kind would spoil every check: it is told once.
    trial.registry.kinds()
    return trial


def _findings(order: Order) -> Iterator[Finding]:
    began = time.perf_counter()
    try:
        trial = _trial(order)
    except DreamlineError as error:
        problem = Problem(f"plugin {order.name}", str(error), "Mend what it names")
        yield Finding(LOADS, LOADS_PROMISE, (problem,), seconds=round(time.perf_counter() - began, 2))
        return
    loaded = Finding(LOADS, LOADS_PROMISE, seconds=round(time.perf_counter() - began, 2))
    for check in order.checks:
        if check == LOADS:
            yield loaded
        else:
            yield _elsewhere(order, trial) if check == ELSEWHERE else examine(trial, check)


def _elsewhere(order: Order, trial: Trial) -> Finding:
    """Compares with another process; what breaks in this one has been told by the checks before."""
    began = time.perf_counter()
    try:
        with empty_folder():
            here = digest(trial)
    except (NothingTaken, DreamlineError) as error:
        return Finding(ELSEWHERE, ELSEWHERE_PROMISE, skipped=f"no sample picture is prepared ({error})")
    command = _command(replace(order, checks=()))
    there = subprocess.run(command, capture_output=True, text=True, check=False, timeout=Limits().seconds / 2)
    problems: tuple[Problem, ...] = ()
    if there.stdout != here:
        mend = "Sort what comes out of sets, and use nothing of the process, its time or its machine"
        problems = (Problem(f"plugin {order.name}", "the same picture came out differently there", mend),)
    return Finding(ELSEWHERE, ELSEWHERE_PROMISE, problems, seconds=round(time.perf_counter() - began, 2))


if __name__ == "__main__":
    main(sys.argv[1:])

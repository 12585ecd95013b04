"""What processes say: readable lines, or one JSON object a line, each with what it is about.

`about` and `know` keep facts beside the code that runs (which worker, whose campaign, which image); every line
that is written meanwhile bears them, whoever writes it. Threads start with none.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NoReturn

from core.errors import BadInput
from core.settings import Settings

FORMATS = ("text", "json")

CHATTY = ("alembic", "celery.app.trace", "celery.worker.strategy")
"""Loggers of others that tell of each look at the tables' version and of each wake-up; heard at DEBUG only."""

_facts: ContextVar[Mapping[str, Any]] = ContextVar("dreamline_log_facts")


def set_up(settings: Settings) -> None:
    """Lets this process write to standard error as `settings` say; what was set up before stays.

    Raises:
        BadInput: there is no such level or format.
    """
    levels = logging.getLevelNamesMapping()
    level = levels.get(settings.log.upper())
    if level is None:
        _refuse("DREAMLINE_LOG", settings.log, "level", "DEBUG, INFO, WARNING or ERROR")
    if settings.log_format not in FORMATS:
        _refuse("DREAMLINE_LOG_FORMAT", settings.log_format, "format", "text or json")
    handler = logging.StreamHandler(sys.stderr)
    as_json = settings.log_format == "json"
    handler.setFormatter(JsonLines() if as_json else Lines())
    logging.basicConfig(level=level, handlers=[handler])
    if level > logging.DEBUG:
        for name in CHATTY:
            logging.getLogger(name).setLevel(max(level, logging.WARNING))
    if as_json:
        # Whoever reads JSON wants no line that is none.
        logging.captureWarnings(True)
        sys.excepthook = _say_uncaught
        threading.excepthook = _say_uncaught_in_thread


def _refuse(variable: str, value: str, noun: str, known: str) -> NoReturn:
    raise BadInput.at(f"environment variable {variable}", f"{value!r} is no {noun}", f"Say {known}")


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Adds facts to each line that this thread writes inside the block; None and empty values are left out."""
    before = _facts.set({**known(), **facts})
    try:
        yield
    finally:
        _facts.reset(before)


def know(**facts: Any) -> None:
    """Adds facts to each line that this thread writes from now on."""
    _facts.set({**known(), **facts})


def known() -> Mapping[str, Any]:
    """The facts that a line would bear now."""
    return _facts.get({})


def on(table: str, ids: Sequence[int], askers: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """Facts about pieces of work: `job=17` or `jobs=[17, 18]`, and the campaigns that ask for them.

    Args:
        table: `job` or `preparation`.
        ids: which ones.
        askers: by id, names of campaigns.
    """
    campaigns = sorted({name for one in ids for name in askers.get(one, ())})
    which: dict[str, Any] = {table: ids[0]} if len(ids) == 1 else {f"{table}s": list(ids)}
    return {"campaigns": campaigns, **which}


class Lines(logging.Formatter):
    """For people: time, level, logger, message, and the facts in brackets."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        told = ", ".join(f"{name} {_in_words(value)}" for name, value in _of(record).items())
        return super().formatMessage(record) + (f" [{told}]" if told else "")


class JsonLines(logging.Formatter):
    """For programs: one object a line. `time` is UTC; `error` is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        told = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **_of(record),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def _of(record: logging.LogRecord) -> dict[str, Any]:
    """The facts of this thread, and those that the line brought itself (`extra={"about": {…}}`)."""
    facts = {**known(), **getattr(record, "about", {})}
    return {name: value for name, value in facts.items() if value is not None and value not in ("", [], ())}


def _in_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _say_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("dreamline").critical("ended by an error", exc_info=(kind, error, trace))


def _say_uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and told.exc_type is not SystemExit:
        name = told.thread.name if told.thread else "a thread"
        error = (told.exc_type, told.exc_value, told.exc_traceback)
        logging.getLogger("dreamline").critical("%s ended by an error", name, exc_info=error)

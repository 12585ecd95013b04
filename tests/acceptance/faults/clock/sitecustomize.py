"""A wall clock that is wrong by as many seconds as the file FAULTS_CLOCK says, now.

Python runs this before anything else when its folder is in PYTHONPATH. Clocks that only go forward stay right, as
they do on a machine whose time was set wrongly.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

FILE = os.environ.get("FAULTS_CLOCK", "")

right_datetime = datetime.datetime
right, right_ns = time.time, time.time_ns
right_local, right_greenwich = time.localtime, time.gmtime


def error() -> float:
    """Seconds by which the clock is wrong just now; the file is written in place and may be empty for a moment."""
    try:
        with open(FILE) as file:  # noqa: PTH123 - pathlib would be loaded into every process for this alone
            return float(file.read())
    except (OSError, ValueError):
        return 0.0


class Alike(type):
    """Takes what others made by the right class for the wrong class's own."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, right_datetime)


class WrongDatetime(datetime.datetime, metaclass=Alike):
    """As `datetime`, by the wrong clock."""

    @classmethod
    def now(cls, tz: Any = None) -> WrongDatetime:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> WrongDatetime:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)


if FILE:
    time.time = lambda: right() + error()
    time.time_ns = lambda: right_ns() + int(error() * 1e9)
    time.localtime = lambda seconds=None: right_local(time.time() if seconds is None else seconds)
    time.gmtime = lambda seconds=None: right_greenwich(time.time() if seconds is None else seconds)
    datetime.datetime = WrongDatetime  # type: ignore[misc]

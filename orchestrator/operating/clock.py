"""Operating: this machine's clock against the database's."""

from __future__ import annotations

import time

from sqlalchemy import Connection, text


def read_skew(connection: Connection) -> float:
    """Seconds by which this machine's clock is ahead of the database's; the way there and back is left out."""
    before = time.time()
    theirs = connection.execute(text("select extract(epoch from clock_timestamp())::float8")).scalar_one()
    return (before + time.time()) / 2 - float(theirs)

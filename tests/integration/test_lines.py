"""The line to Postgres notices a server that has gone silent, also with a statement on its way to it."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from orchestrator.records.database import Database


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds how long sent bytes may stay unanswered")
def test_silence_is_noticed_within_half_a_minute(database: Database) -> None:
    with database.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as line:
            unanswered = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
            idle = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            probes = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
            apart = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    assert 0 < unanswered <= 30
    assert idle + probes * apart <= 30

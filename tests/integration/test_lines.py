"""The line to Postgres notices a server that has gone silent, also with a statement on its way to it."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from typing import Any

import pytest

from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.working import claims


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


@pytest.mark.timeout(60)
def test_a_worker_that_falls_silent_in_the_middle_of_a_claim_keeps_no_other_from_claiming(
    settings: Settings, database: Database, seed_jobs: Any
) -> None:
    jobs = seed_jobs(2)
    gone = Database(settings, silence=1.0)
    line = gone.engine().connect()
    claims.claim(line, "job", uuid.uuid4(), ["model"], 1, 60)
    began = time.monotonic()
    found = []
    while len(found) < len(jobs):
        assert time.monotonic() - began < 20
        with database.begin() as connection:
            found += claims.claim(connection, "job", uuid.uuid4(), ["model"], 2, 60)
    assert time.monotonic() - began < 10
    assert sorted(one.id for one in found) == jobs
    line.invalidate()
    line.close()
    gone.close()

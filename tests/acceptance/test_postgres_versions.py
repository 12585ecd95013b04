"""A campaign on a Postgres of one's own: the oldest version that is promised, where such a server runs.

The embedded one, the newest, serves all other tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.examining.connections import OLDEST_POSTGRES

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
CAMPAIGN = """
campaign: elsewhere
model: storyboard
rows:
  - {noun: mug}
  - {noun: lamp}
prompt: "a {{ row.noun }}"
seeds: 3
formats: [square]
"""


@pytest.fixture
def own_server() -> Iterator[str]:
    """The URL of a new database on the server that `TEST_POSTGRES_URL` names."""
    name = f"dreamline_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(SERVER, autocommit=True, connect_timeout=3) as connection:
            number = connection.info.server_version // 10000
            connection.execute(f"create database {name}")
    except psycopg.OperationalError as error:
        pytest.skip(f"no Postgres at TEST_POSTGRES_URL: {str(error).splitlines()[0]}")
    if number < OLDEST_POSTGRES:
        pytest.skip(f"Postgres {number} is older than what is promised")
    address, question, options = SERVER.partition("?")
    yield f"{address.rsplit('/', 1)[0]}/{name}{question}{options}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.mark.timeout(200)
def test_a_campaign_is_made_on_a_server_of_ones_own(own_server: str, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "DREAMLINE_HOME": str(tmp_path / "home"),
        "DREAMLINE_DATABASE_URL": own_server,
        "DREAMLINE_POLL_SECONDS": "0.3",
    }
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)

    def dreamline(*words: str) -> str:
        command = [sys.executable, "-m", "orchestrator.cli", *words]
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dreamline("db", "upgrade")
    assert json.loads(dreamline("run", "campaign.yaml", "--json"))["made"] == 6
    found = {one["check"]: one for one in json.loads(dreamline("doctor", "--json"))}
    assert found["database"]["level"] == found["files"]["level"] == found["queue"]["level"] == "ok"

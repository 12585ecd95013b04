"""`dreamline models check` records hashes, and says so where nobody reads JSON."""

from __future__ import annotations

import json

from click.testing import CliRunner

from core.settings import Settings
from orchestrator.cli import cli


def test_a_check_that_records_prints_one_json_document(settings: Settings) -> None:
    assert settings.database_url is not None
    env = {"DREAMLINE_HOME": str(settings.home), "DREAMLINE_DATABASE_URL": settings.database_url}
    done = CliRunner().invoke(cli, ["models", "check", "storyboard", "--json"], env=env)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["good"]
    assert "0 hashes recorded: plans pin them." in done.stderr

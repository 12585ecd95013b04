"""Any setting may come from a file, as secrets do in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BadInput
from core.settings import Settings, misspelt


def test_a_value_comes_from_the_file_that_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://dreamline:s3cret@db/dreamline\n")
    found = Settings.from_env({"DREAMLINE_DATABASE_URL_FILE": str(secret)})
    assert found.database_url == "postgresql://dreamline:s3cret@db/dreamline"
    assert misspelt({"DREAMLINE_DATABASE_URL_FILE": str(secret)}) == []


def test_the_variable_itself_goes_before_its_file(tmp_path: Path) -> None:
    (tmp_path / "seconds").write_text("7")
    environ = {"DREAMLINE_POLL_SECONDS_FILE": str(tmp_path / "seconds")}
    assert Settings.from_env(environ).poll_seconds == 7
    assert Settings.from_env({**environ, "DREAMLINE_POLL_SECONDS": "9"}).poll_seconds == 9


def test_files_that_are_missing_empty_or_no_text_are_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput) as caught:
        Settings.from_env(
            {
                "DREAMLINE_DATABASE_URL_FILE": str(tmp_path / "gone"),
                "DREAMLINE_BROKER_URL_FILE": str(tmp_path / "empty"),
                "DREAMLINE_STORAGE_URL_FILE": str(tmp_path / "binary"),
            }
        )
    told = {problem.where.split()[-1]: str(problem) for problem in caught.value.problems}
    assert "No such file" in told["DREAMLINE_DATABASE_URL_FILE"]
    assert "is empty" in told["DREAMLINE_BROKER_URL_FILE"]
    assert "no text" in told["DREAMLINE_STORAGE_URL_FILE"]


def test_a_file_for_a_setting_that_does_not_exist_is_a_slip_of_the_pen() -> None:
    (problem,) = misspelt({"DREAMLINE_DATABASE_URI_FILE": "x"})
    assert "DREAMLINE_DATABASE_URI_FILE" in problem.where

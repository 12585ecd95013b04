"""Records: the hashes of models' files, as `dreamline models check` found them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from orchestrator.records.database import Database, version


def record(connection: Connection, card: str, files: Mapping[str, tuple[str, int]]) -> None:
    """Replaces what is recorded of `card`: for each file its sha256 and its size in bytes."""
    connection.execute(text("delete from model_file where card = :card"), {"card": card})
    if files:
        connection.execute(
            text("insert into model_file (card, file, sha256, size) values (:card, :file, :sha256, :size)"),
            [
                {"card": card, "file": name, "sha256": sha256, "size": size}
                for name, (sha256, size) in files.items()
            ],
        )


def recorded_files(database: Database | None, card: str) -> dict[str, str]:
    """sha256 of each recorded file of `card`; empty where there is no database yet."""
    if database is None:
        return {}
    with database.begin() as connection:
        if version(connection) is None:
            return {}
        rows = connection.execute(text("select file, sha256 from model_file where card = :card"), {"card": card})
        return {row.file: row.sha256 for row in rows}

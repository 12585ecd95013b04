"""Records: the hashes of models' files, as `dreamline models check` found them.

A plan pins these; a worker takes a job only if its own files have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from core.cards import ModelCard
from core.errors import BadInput
from core.generation.files import card_files, file_hash, local_folder
from core.settings import Settings
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
        return {} if version(connection) is None else read_recorded(connection).get(card, {})


def read_recorded(connection: Connection) -> dict[str, dict[str, str]]:
    """sha256 of each recorded file, by card and file."""
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(text("select card, file, sha256 from model_file")):
        found.setdefault(row.card, {})[row.file] = row.sha256
    return found


def pin_files(card: ModelCard, settings: Settings, recorded: Mapping[str, str]) -> dict[str, str]:
    """The hashes that a plan pins: the recorded ones; of a model that lies beside its card, the present ones.

    Raises:
        BadInput: the card's files were never checked on any machine.
    """
    if not card.base:
        return {}
    if local_folder(card.base, card) is not None:
        return hash_files(card, settings) or dict(recorded)
    if not recorded:
        raise BadInput.at(
            f"model {card.name!r}",
            "its files were never checked, so nobody knows which weights a plan would mean",
            f"Run `dreamline models check {card.name}` where they are",
        )
    return dict(recorded)


def hash_files(card: ModelCard, settings: Settings) -> dict[str, str]:
    """sha256 of each of the card's files on this machine, remembered by size and time; empty if one is missing."""
    files = card_files(card, settings) if card.base else []
    if not all(file.path.is_file() for file in files):
        return {}
    return {file.name: file_hash(file.path, settings.home / "cache" / "hashes") for file in files}

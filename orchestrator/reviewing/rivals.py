"""Reviewing: other tools' pictures for the same brief, judged blind beside ours.

A picture belongs to a row of the campaign by its file name (`SKU.png`, `SKU-2.jpg`, `SKU/anything.png`) or by
a CSV that says so. Who judges sees two pictures, in an order that a hash decides, and no names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from sqlalchemy import Connection, text

from core.errors import BadInput, Problem
from orchestrator.records.database import SWEEP_LOCK, Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing.people import Actor, Right

Winner = Literal["ours", "theirs", "neither"]
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture of ours and one of theirs for a row; `ours_first` says which stands left."""

    rival: int
    item: int
    row: str
    prompt: str
    ours: str
    theirs: str
    ours_first: bool
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WinRate:
    """How our pictures fared against one tool's. `rate` counts a draw as half; the bounds are Wilson's 95 %."""

    tool: str
    pictures: int
    wins: int
    losses: int
    draws: int

    @property
    def judged(self) -> int:
        return self.wins + self.losses + self.draws

    @property
    def rate(self) -> float | None:
        return (self.wins + self.draws / 2) / self.judged if self.judged else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Between what the true rate lies, as Wilson (1927) has it."""
        if self.rate is None:
            return None
        z, n, p = 1.96, self.judged, self.rate
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        reach = z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
        return max(0.0, middle - reach), min(1.0, middle + reach)


def bring_in(
    database: Database, store: Storage, actor: Actor, campaign: str, tool: str, files: Mapping[str, bytes]
) -> int:
    """Records pictures of another tool; returns how many are new.

    Args:
        database: where they are recorded.
        store: gets the pictures.
        actor: who may steer the campaign.
        campaign: whose rows they belong to.
        tool: the other tool's name, seen only in the table of results.
        files: by name; a CSV among them with the columns `row` and `file` says which is whose.

    Raises:
        Forbidden: the person may not.
        BadInput: with every file that belongs to no row, or is no picture; nothing is recorded then.
    """
    actor.require(Right.STEER, campaign)
    if not tool.strip():
        raise BadInput.at("tool", "it has no name", "Say which tool made the pictures")
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            select brief_row.key, campaign.id from brief_row join campaign on campaign.id = brief_row.campaign_id
            where campaign.name = :campaign
            """),
            {"campaign": campaign},
        ).all()
    if not rows:
        raise BadInput.at("campaign", f"there is no {campaign!r} with rows", "Plan it first")
    placed = _place(files, [row.key for row in rows])
    kept = {name: store.put(files[name], f"rival-{tool}") for name in placed}
    values = [
        {"campaign": rows[0].id, "tool": tool.strip(), "row": row, "sha256": kept[name], "name": name}
        for name, row in placed.items()
    ]
    with database.begin() as connection:
        # From here to the commit no sweep deletes; what one took since it was stored is stored again.
        connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": SWEEP_LOCK})
        gone = set(store.lacking(list(kept.values())))
        for name in (name for name, sha256 in kept.items() if sha256 in gone):
            store.put(files[name], f"rival-{tool}")
        return sum(connection.execute(text(_BRING_IN), one).rowcount for one in values)


def next_pairs(connection: Connection, campaign: str, actor: str, limit: int = 20) -> list[Pair]:
    """Pairs that `actor` has not judged yet, those with the fewest judgements first."""
    rows = connection.execute(text(_PAIRS), {"campaign": campaign, "actor": actor, "limit": limit})
    return [
        Pair(
            rival=row.rival,
            item=row.item,
            row=row.row_key,
            prompt=row.prompt,
            ours=row.ours,
            theirs=row.theirs,
            ours_first=_ours_first(row.rival, row.item, actor),
            references=tuple(row.references or ()),
        )
        for row in rows
    ]


def judge(database: Database, actor: Actor, campaign: str, pair: Pair, winner: Winner, given: uuid.UUID) -> None:
    """Records one judgement; the same id again changes nothing.

    Raises:
        Forbidden: the person may not decide here.
    """
    actor.require(Right.DECIDE, campaign)
    with database.begin() as connection:
        connection.execute(
            text("""
            insert into comparison (id, rival_id, item_id, asset_sha256, winner, actor)
            values (:id, :rival, :item, :ours, :winner, :actor) on conflict (id) do nothing
            """),
            {
                "id": given,
                "rival": pair.rival,
                "item": pair.item,
                "ours": pair.ours,
                "winner": winner,
                "actor": actor.name,
            },
        )


def read_win_rates(connection: Connection, campaign: str) -> list[WinRate]:
    """How we fared against each tool, most judged first."""
    return [WinRate(**row._mapping) for row in connection.execute(text(_RATES), {"campaign": campaign})]


def _place(files: Mapping[str, bytes], keys: Sequence[str]) -> dict[str, str]:
    """The row of each picture."""
    told = _told_by_csv(files)
    pictures = {name: _path(name) for name in files if not name.lower().endswith(".csv")}
    alike = Counter(path.name for path in pictures.values())
    placed, problems = {}, []
    for name, path in pictures.items():
        said = _said(path, told, alone=alike[path.name] == 1)
        rows = sorted({row for word in said for row in _rows_called(word, keys)}) if said else _guess(path, keys)
        if path.suffix.lower() not in PICTURES or not _is_picture(files[name]):
            problems.append(Problem(f"file {name}", "is no picture that can be read", "Give PNG, JPEG or WebP"))
        elif len(rows) != 1:
            what = f"could belong to the rows {' and '.join(rows)}" if rows else "belongs to no row of the brief"
            mend = f"Name it after its row ({', '.join(keys[:3])} …), or add a CSV with the columns row and file"
            problems.append(Problem(f"file {name}", what, mend))
        else:
            placed[name] = rows[0]
    BadInput.gather(problems)
    if not placed:
        raise BadInput.at("files", "there are no pictures among them", "Give PNG, JPEG or WebP")
    return placed


def _said(path: PurePosixPath, told: Mapping[PurePosixPath, set[str]], *, alone: bool) -> set[str]:
    """What CSVs say of a file: by its path, else by its name where it is `alone` in having that.

    Files that were chosen one by one have lost their folders, which a CSV may still name.
    """
    if path in told or not alone:
        return told.get(path, set())
    return set().union(*(rows for other, rows in told.items() if other.name == path.name))


def _path(name: str) -> PurePosixPath:
    """A path as it is compared: some systems write backslashes, or take letters and their accents apart."""
    return PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/")))


def _guess(path: PurePosixPath, keys: Sequence[str]) -> list[str]:
    """Rows whose key the file's name is or begins with (those of the longest key), or its folder's name is."""
    if exact := _rows_called(path.stem, keys):
        return exact
    stem = _slug(path.stem)
    fitting = [key for key in keys if (slug := _slug(key)) and stem.startswith(f"{slug}-")]
    longest = max((len(_slug(key)) for key in fitting), default=0)
    return [key for key in fitting if len(_slug(key)) == longest] or _rows_called(path.parent.name, keys)


def _rows_called(word: str, keys: Sequence[str]) -> list[str]:
    """The row of exactly that key; else those whose keys differ from it in marks and case alone."""
    exact = [key for key in keys if _folded(key) == _folded(word)]
    return exact or [key for key in keys if _slug(word) and _slug(key) == _slug(word)]


def _told_by_csv(files: Mapping[str, bytes]) -> dict[PurePosixPath, set[str]]:
    """Rows by the paths of files, as they are written and as seen from the folder of the CSV."""
    told: dict[PurePosixPath, set[str]] = {}
    for name, data in files.items():
        if name.lower().endswith(".csv"):
            reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace")))
            if not {"row", "file"} <= set(reader.fieldnames or ()):
                raise BadInput.at(f"file {name}", "lacks the columns row and file", "Name them in its first line")
            for number, line in enumerate(reader, start=2):
                if line["file"] and not line["row"]:
                    what = f"has no row for {line['file']}"
                    raise BadInput.at(
                        f"file {name}, line {number}", what, "Write the row's key into the column row"
                    )
                if line["file"]:
                    file = _path(line["file"])
                    for path in {file, _path(name).parent / file}:
                        told.setdefault(path, set()).add(line["row"])
    return told


def _is_picture(data: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _slug(word: str) -> str:
    """Letters and digits of any writing, with `-` for all between them."""
    return re.sub(r"[\W_]+", "-", _folded(word)).strip("-")


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word).casefold()


def _ours_first(rival: int, item: int, actor: str) -> bool:
    """A fair coin that falls the same way each time."""
    return hashlib.sha256(f"{rival} {item} {actor}".encode()).digest()[0] % 2 == 0


def as_values(pair: Pair) -> dict[str, Any]:
    """For the page: left and right, without saying which is whose."""
    left, right = (pair.ours, pair.theirs) if pair.ours_first else (pair.theirs, pair.ours)
    return {"left": left, "right": right, "row": pair.row, "prompt": pair.prompt}


_BRING_IN = """
insert into rival (campaign_id, tool, row_key, sha256, name) values (:campaign, :tool, :row, :sha256, :name)
on conflict do nothing
"""

_PAIRS = """
select rival.id as rival, ours.item, rival.row_key, ours.prompt, ours.sha256 as ours, rival.sha256 as theirs,
       ours.references
from rival join campaign on campaign.id = rival.campaign_id
cross join lateral (
    select item.id as item, asset.sha256, job.request->>'prompt' as prompt,
           (select array_agg(p.reference_sha256 order by r.position) from job_reference r
            join preparation p on p.id = r.preparation_id where r.job_id = job.id) as references
    from item join asset on asset.job_id = item.job_id join job on job.id = item.job_id
    where item.campaign_id = campaign.id and item.row_key = rival.row_key and not item.obsolete
        and item.verdict <> 'rejected'
    order by item.verdict = 'approved' desc, item.id limit 1
) ours
where campaign.name = :campaign and not exists (
    select 1 from comparison where comparison.rival_id = rival.id and comparison.actor = :actor
)
order by (select count(*) from comparison where comparison.rival_id = rival.id), rival.id limit :limit
"""

_RATES = """
select rival.tool, count(distinct rival.id) as pictures,
       count(*) filter (where winner = 'ours') as wins, count(*) filter (where winner = 'theirs') as losses,
       count(*) filter (where winner = 'neither') as draws
from rival join campaign on campaign.id = rival.campaign_id left join comparison on comparison.rival_id = rival.id
where campaign.name = :campaign group by rival.tool order by count(comparison.id) desc, rival.tool
"""

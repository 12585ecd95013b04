"""Seeded campaigns: rows written straight into the tables, to measure and to test with.

The pictures are real files, drawn from their number; many items share a picture, as their jobs would not.
"""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from core.generation.fake import draw
from core.requests import Method, Preparation, Reference, Request
from core.scoring.hashes import look
from orchestrator.previews import Previews
from orchestrator.records.storage import Storage

NOUNS = ("mug", "sneaker", "lamp", "tote bag", "scarf", "perfume", "backpack", "chair")
SCENES = ("on a marble table by a window", "in a sunny street", "on a beach at dusk", "in a studio")


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was written: ids of items in order, and the pictures that they share."""

    campaign: int
    items: list[int]
    pictures: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


def seed(
    connection: Connection,
    store: Storage,
    name: str,
    items: int,
    *,
    previews: Previews | None = None,
    pictures: int = 16,
    side: int = 512,
    made: bool = True,
    state: str = "finished",
) -> Seeded:
    """Writes a campaign of `items` items, four variants a row, with references and scores.

    Args:
        connection: a transaction on a database with this dreamline's tables.
        store: gets the pictures.
        name: of the campaign; part of the keys, so that two campaigns share no job.
        items: how many.
        previews: made for each picture when given.
        pictures: how many different ones are drawn.
        side: of each, in pixels.
        made: without, nothing has been made yet.
        state: of the campaign.
    """
    references = [_reference(store, previews, number) for number in range(4)]
    drawn = [_picture(store, previews, number, side, references) for number in range(pictures)]
    campaign = connection.execute(
        text("""
        insert into campaign (name, state, model, source, text, plan)
        values (:name, :state, 'fake', :source, '', 1) returning id
        """),
        {"name": name, "state": state, "source": f"examples/{name}/campaign.yaml"},
    ).scalar_one()
    preparations = _write_references(connection, references)
    _copy(connection, "brief_row (campaign_id, key, number, data)", _rows(campaign, items))
    jobs = _write_jobs(connection, name, items, side, preparations, made=made)
    if made:
        _write_assets(connection, jobs, drawn, side)
    _copy(
        connection,
        "item (campaign_id, row_key, variant_key, variant, seed, format, job_id)",
        (
            (
                campaign,
                _sku(k // 4),
                f"v{k // 2 % 2}",
                json.dumps({"scene": SCENES[k // 2 % 2]}),
                k % 2 + 1,
                _format(k),
                job,
            )
            for k, job in enumerate(jobs)
        ),
    )
    connection.execute(text("analyze item, job, asset, score, job_reference"))
    ids = connection.execute(
        text("select id from item where campaign_id = :campaign order by id"), {"campaign": campaign}
    ).scalars()
    return Seeded(campaign, list(ids), [one[0] for one in drawn], [one.sha256 for one, _ in references])


def _sku(row: int) -> str:
    return f"SKU-{1000 + row}"


def _format(k: int) -> str:
    return "square" if (k // 4) % 3 else "portrait"


def _rows(campaign: int, items: int) -> Any:
    for row in range(-(-items // 4)):
        data = {"sku": _sku(row), "title": f"{NOUNS[row % 8].capitalize()} no. {row + 1}", "noun": NOUNS[row % 8]}
        yield campaign, _sku(row), row + 1, json.dumps(data)


def _request(name: str, k: int, side: int, references: tuple[Reference, ...]) -> Request:
    prompt = f"A {NOUNS[k // 4 % 8]} [ref#1] {SCENES[k // 2 % 4]}, {name} {k}."
    return Request("fake", prompt, references, side, side, k % 2 + 1, 12, 4.5)


def _reference(store: Storage, previews: Previews | None, number: int) -> tuple[Reference, Any]:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(picture)
    colour = ("#3c6e71", "#d9822b", "#7b5ea7", "#b23a48")[number]
    if number % 2:
        pen.rounded_rectangle((60, 40, 196, 216), 28, fill=colour)
    else:
        pen.ellipse((40, 40, 216, 216), fill=colour)
    pen.text((108, 118), f"No. {number + 1}", fill="white")
    sha256 = _store(store, previews, picture)
    kind = "subject" if number % 2 == 0 else "identity"
    given = Reference("product", kind, sha256, f"images/{number}.png", {}, f"{kind} 0.1.0", Method("matte"))
    return given, picture


def _picture(
    store: Storage, previews: Previews | None, number: int, side: int, references: list[tuple[Reference, Any]]
) -> tuple[str, int]:
    given, shown = references[number % 4]
    picture = draw(_request("seeded", number * 4, side, (given,)), [Preparation(shown)])
    return _store(store, previews, picture), look(picture)


def _store(store: Storage, previews: Previews | None, picture: Any) -> str:
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=1)
    sha256 = store.put(file.getvalue(), "seeded")
    if previews is not None:
        previews.make(sha256, picture)
    return sha256


def _write_references(connection: Connection, references: list[tuple[Reference, Any]]) -> list[int]:
    ids = []
    for given, _ in references:
        values = {"sha256": given.sha256, "source": given.source}
        connection.execute(
            text("""
            insert into reference (sha256, source, size) values (:sha256, :source, 1) on conflict do nothing
            """),
            values,
        )
        spec = {**given.as_dict(), "area": 262144, "grid": 16, "model": "fake"}
        ids.append(
            connection.execute(
                text("""
                insert into preparation (key, pin, batch, reference_sha256, model, spec, state, held, result)
                values (:sha256, 'seeded', 'seeded', :sha256, 'fake', cast(:spec as jsonb), 'done', false, :sha256)
                on conflict (key) do update set state = 'done' returning id
                """),
                {**values, "spec": json.dumps(spec)},
            ).scalar_one()
        )
    return ids


def _write_jobs(
    connection: Connection, name: str, items: int, side: int, preparations: list[int], *, made: bool
) -> list[int]:
    pinned = json.dumps({"card": "fake", "generator": "fake/1", "digest": "0" * 64, "changed_by": {}})
    state = "done" if made else "queued"
    reference = connection.execute(
        text("select spec from preparation where id = any(:ids) order by id"), {"ids": preparations}
    ).scalars()
    given = [
        Reference.from_dict({key: value for key, value in spec.items() if key not in ("area", "grid", "model")})
        for spec in reference
    ]
    _copy(
        connection,
        "job (key, pin, batch, state, held, model, request, pinned)",
        (
            (
                f"{name} {k}",
                "fake fake/1 0000000000000000",
                "seeded",
                state,
                not made,
                "fake",
                json.dumps(_request(name, k, side, (given[k % 4],)).as_dict()),
                pinned,
            )
            for k in range(items)
        ),
    )
    jobs = list(
        connection.execute(
            text("select id from job where key like :name order by id"), {"name": f"{name} %"}
        ).scalars()
    )
    _copy(
        connection,
        "job_reference (job_id, position, preparation_id)",
        ((job, 1, preparations[k % 4]) for k, job in enumerate(jobs)),
    )
    return jobs


def _write_assets(connection: Connection, jobs: list[int], drawn: list[tuple[str, int]], side: int) -> None:
    worker = uuid.UUID(int=0)
    _copy(
        connection,
        "asset (job_id, sha256, size, width, height, media_type, facts, look, fence, worker, seconds)",
        (
            (
                job,
                drawn[k % len(drawn)][0],
                1,
                side,
                side,
                "image/png",
                "{}",
                drawn[k % len(drawn)][1],
                1,
                worker,
                1.5,
            )
            for k, job in enumerate(jobs)
        ),
    )
    _copy(
        connection,
        "score (job_id, plugin, name, value, compared, higher_is_better)",
        (
            (
                job,
                "subject",
                "likeness",
                round(0.95 - (k * 37 % 100) / 160, 3),
                "the product and its reference",
                True,
            )
            for k, job in enumerate(jobs)
        ),
    )


def _copy(connection: Connection, table: str, rows: Any) -> None:
    with connection.connection.cursor().copy(f"copy {table} from stdin") as copy:
        for row in rows:
            copy.write_row(row)

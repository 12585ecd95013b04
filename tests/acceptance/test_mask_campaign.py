"""Masks beside the pictures of a campaign: by a column of the rows, kept by content, and part of what decides."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image, ImageDraw

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.storage import open_storage

CAMPAIGN = """
campaign: masked
model: storyboard
rows:
  - {sku: busy, image: busy.png, mask: mask.png}
  - {sku: plain, image: plain.png, mask: ""}
references:
  mug: {kind: subject, image: "{{ row.image }}", mask: '{{ row.mask or "" }}'}
prompt: "a mug from [mug]"
formats: [square]
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    noise = Image.effect_noise((300, 240), 90).convert("RGB")
    ImageDraw.Draw(noise).ellipse((90, 60, 210, 180), fill="#c2185b")
    noise.save(tmp_path / "busy.png")
    draw_mask(tmp_path / "mask.png", (90, 60, 210, 180))
    plain = Image.new("RGB", (300, 240), "white")
    ImageDraw.Draw(plain).ellipse((90, 60, 210, 180), fill="#1b5e20")
    plain.save(tmp_path / "plain.png")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    yield tmp_path
    embedded.stop(tmp_path / "home")


def draw_mask(path: Path, box: tuple[int, int, int, int], size: tuple[int, int] = (300, 240)) -> None:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    mask.save(path)


def dreamline(place: Path, *words: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words],
        cwd=place,
        env={**os.environ, "DREAMLINE_HOME": str(place / "home"), "DREAMLINE_POLL_SECONDS": "0.3"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr[-3000:]
    return done.stdout + done.stderr


def run(place: Path) -> dict[str, Any]:
    told = dreamline(place, "run", "campaign.yaml", "--json")
    return dict(json.loads(told[told.index("{") : told.rindex("}") + 1]))


def test_a_column_of_masks_cuts_out_what_no_method_could(place: Path) -> None:
    report = run(place)
    assert (report["made"], report["failed"]) == (2, 0)
    with psycopg.connect(embedded.ensure_running(place / "home")) as connection:
        rows = connection.execute(
            "select spec->'method'->>'name', spec->>'mask', result from preparation order by spec->>'source'"
        ).fetchall()
    assert [method for method, _, _ in rows] == ["mask", "alpha-or-grabcut"]
    assert rows[0][1]
    assert rows[1][1] is None
    store = open_storage(Settings(home=place / "home").store_url)
    made = Image.open(io.BytesIO(store.get(rows[0][2])))
    red, green, _ = made.getpixel((made.width // 2, made.height // 2))  # type: ignore[misc]
    assert red > 150 > green
    assert made.getpixel((2, 2)) == (255, 255, 255)

    again = run(place)
    assert (again["made"], again["reused"]) == (0, 2)
    draw_mask(place / "mask.png", (100, 70, 200, 170))
    assert run(place)["made"] == 1, "another mask is another image of that row alone"


def test_masks_that_can_not_serve_are_told_by_row_and_column(place: Path) -> None:
    (place / "mask.png").unlink()
    told = dreamline(place, "plan", "campaign.yaml", expect=2)
    assert "row 1" in told
    assert "column mask" in told
    assert "there is no file" in told
    draw_mask(place / "mask.png", (10, 10, 40, 40), (64, 300))
    told = dreamline(place, "run", "campaign.yaml", expect=3)
    assert "1 made, 0 reused, 1 failed" in told
    told = dreamline(place, "campaign", "show", "masked")
    assert "64 x 300" in " ".join(told.split())
    (place / "campaign.yaml").write_text(CAMPAIGN.replace("kind: subject", "kind: style"))
    told = dreamline(place, "plan", "campaign.yaml", expect=2)
    assert "line 8, key references.mug.mask: kind style takes no mask" in told

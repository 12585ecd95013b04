"""Masks beside the pictures of a campaign: by a column of the rows, kept by content, and part of what decides."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from PIL import Image, ImageDraw

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.storage import open_storage

if TYPE_CHECKING:
    from conftest import Command

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
def place(tmp_path: Path) -> Path:
    noise = Image.effect_noise((300, 240), 90).convert("RGB")
    ImageDraw.Draw(noise).ellipse((90, 60, 210, 180), fill="#c2185b")
    noise.save(tmp_path / "busy.png")
    draw_mask(tmp_path / "mask.png", (90, 60, 210, 180))
    plain = Image.new("RGB", (300, 240), "white")
    ImageDraw.Draw(plain).ellipse((90, 60, 210, 180), fill="#1b5e20")
    plain.save(tmp_path / "plain.png")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    return tmp_path


def draw_mask(path: Path, box: tuple[int, int, int, int], size: tuple[int, int] = (300, 240)) -> None:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    mask.save(path)


def run(command: Command) -> dict[str, Any]:
    return dict(json.loads(command("run", "campaign.yaml", "--json").stdout))


def test_a_column_of_masks_cuts_out_what_no_method_could(command: Command, place: Path) -> None:
    report = run(command)
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

    again = run(command)
    assert (again["made"], again["reused"]) == (0, 2)
    draw_mask(place / "mask.png", (100, 70, 200, 170))
    assert run(command)["made"] == 1, "another mask is another image of that row alone"


def test_masks_that_can_not_serve_are_told_by_row_and_column(command: Command, place: Path) -> None:
    (place / "mask.png").unlink()
    told = command("plan", "campaign.yaml", expect=2).stderr
    assert "row 1" in told
    assert "column mask" in told
    assert "there is no file" in told
    draw_mask(place / "mask.png", (10, 10, 40, 40), (64, 300))
    told = command("run", "campaign.yaml", expect=3).stdout
    assert "1 made, 0 reused, 1 failed" in told
    told = command("campaign", "show", "masked").stdout
    assert "64 x 300" in " ".join(told.split())
    (place / "campaign.yaml").write_text(CAMPAIGN.replace("kind: subject", "kind: style"))
    told = command("plan", "campaign.yaml", expect=2).stderr
    assert "line 8, key references.mug.mask: kind style takes no mask" in told

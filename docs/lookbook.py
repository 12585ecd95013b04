"""Draws the picture of examples/lookbook-tryon: run it, then `python -m docs.lookbook outputs/lookbook`.

Each row of the export: the picture of its SKU and the file that was made of it, all of them, none chosen.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.settings import Settings
from orchestrator.planning.campaign_file import RowSource, read_campaign_file
from orchestrator.planning.fetching.fetcher import Fetcher
from orchestrator.planning.findings import Findings
from orchestrator.planning.rows import read_rows

EXAMPLE = Path(__file__).parents[1] / "examples" / "lookbook-tryon"
PLACE = Path(__file__).parent / "images" / "lookbook.webp"
FLAT, WIDE, HIGH, GAP, TOP, FOOT = 104, 128, 160, 14, 44, 40
PAPER, INK, GREY = (247, 246, 242), (38, 36, 43), (120, 116, 128)


def main() -> None:
    """Lays out what is in the folder that is named."""
    folder, findings = Path(sys.argv[1]), Findings()
    told = read_campaign_file(EXAMPLE / "campaign.yaml", findings)
    assert isinstance(told.file.rows, RowSource)
    rows = read_rows(told.file.rows, None, told.document, findings, Fetcher(Settings())).rows
    findings.raise_if_any()
    size = (GAP + len(rows) * (WIDE + GAP), TOP + FLAT + GAP + HIGH + FOOT)
    sheet = Image.new("RGB", size, PAPER)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(17), ImageFont.load_default(12)
    pen.text((GAP, GAP), "products_export.csv", INK, large)
    for place, row in enumerate(rows):
        left = GAP + place * (WIDE + GAP)
        garment = Image.open(EXAMPLE / str(row.data["image"])).convert("RGB")
        sheet.paste(garment.resize((FLAT, FLAT), Image.Resampling.LANCZOS), (left + (WIDE - FLAT) // 2, TOP))
        made = Image.open(folder / f"{row.key}.jpg").convert("RGB")
        sheet.paste(made.resize((WIDE, HIGH), Image.Resampling.LANCZOS), (left, TOP + FLAT + GAP))
        pen.text((left, TOP + FLAT + GAP + HIGH + 6), f"{row.key}.jpg", INK, small)
        pen.text((left, TOP + FLAT + GAP + HIGH + 21), f"{row.data['title']}, {row.data['variant']}", GREY, small)
    sheet.save(PLACE, quality=92, method=6)


if __name__ == "__main__":
    main()

"""Rows of a product feed as Google Merchant Center takes them: a table of commas or tabs, or XML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator.planning.findings import Findings
from orchestrator.planning.sheets import Cell, Sheet
from orchestrator.planning.sources.columns import in_order, number_pictures, plain_text

_FIRST = ("sku", "id", "title", "image", "images", "description")
_ALWAYS = frozenset(("id", "title", "image_link"))
_TELLING = frozenset(("link", "availability", "price", "gtin", "brand", "mpn", "item_group_id"))


def attribute(header: str) -> str:
    """The attribute that a header means: `g:image_link`, `image link` and `Image_Link` are one."""
    return re.sub(r"[\s_]+", "_", header.strip().casefold().removeprefix("g:"))


def recognises(columns: Sequence[str]) -> bool:
    """Whether a table's columns are attributes of a product feed."""
    known = {attribute(column) for column in columns}
    return known >= _ALWAYS and bool(known & _TELLING)


def arrange(sheet: Sheet, source: str, per: str, findings: Findings) -> Sheet | None:
    """The feed's items under names that every source shares; other attributes keep their own.

    Args:
        sheet: the feed's own table, or the items of its XML.
        source: its name, for messages.
        per: `sku` for a row of each item, `product` for the first item of each `item_group_id`.
        findings: takes all mistakes.
    """
    told = {attribute(column): column for column in reversed(sheet.columns)}
    if lacking := _ALWAYS - told.keys():
        mend = "Give a feed with id, title and image_link, or say source: table to take the columns as they are"
        findings.add(source, f"is no Merchant feed: it lacks {', '.join(sorted(lacking))}", mend)
        return None
    rows = [(number, _row(record, told)) for number, record in sheet.records]
    if per == "product":
        groups = {row["item_group_id"] or row["id"] or number: (number, row) for number, row in reversed(rows)}
        rows = sorted(groups.values(), key=lambda numbered: numbered[0])
    columns = in_order((row for _, row in rows), _FIRST)
    whole = [(number, {column: row.get(column) for column in columns}) for number, row in rows]
    origins = {"sku": told["id"], "own_sku": told.get("sku", ""), "image": told["image_link"]}
    origins["images"] = told.get("additional_image_link", "")
    origins = {ours: column for ours, column in origins.items() if column}
    return Sheet(columns, whole, sheet.lines, "sku", origins)


def _row(record: Mapping[str, Cell], told: Mapping[str, str]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {name: record[column] for name, column in told.items()}
    image, more = cells.pop("image_link"), cells.pop("additional_image_link", None)
    pictures = [str(image)] if image is not None else []
    pictures += [one.strip() for one in str(more or "").split(",") if one.strip()]
    description = cells.pop("description", None)
    if "sku" in cells:
        cells["own_sku"] = cells.pop("sku")
    row: dict[str, Cell] = {"item_group_id": None, **cells, "sku": cells["id"], "image": image}
    row["description"] = plain_text(str(description)) or None if description is not None else None
    return row | number_pictures(list(dict.fromkeys(pictures)))

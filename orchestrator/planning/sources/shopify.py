"""Rows of a Shopify product export: a row for each SKU, or for each product.

The file has several rows for a product. Its first has all there is about it; every further one with the same
handle is another variant, another picture, or both. Which column is which is known by two generations of headers:
`Handle … Variant SKU … Image Src`, and `URL handle … SKU … Product image URL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.planning.findings import Findings
from orchestrator.planning.sheets import Cell, Sheet
from orchestrator.planning.sources.columns import column_name, in_order, number_pictures, plain_text

Record = Mapping[str, Cell]

HEADERS: Mapping[str, tuple[str, ...]] = {
    "sku": ("variant sku", "sku"),
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "description"),
    "vendor": ("vendor",),
    "type": ("type", "custom product type"),
    "category": ("product category", "standard product type", "standardized product type"),
    "tags": ("tags",),
    "status": ("status",),
    "published": ("published", "published on online store"),
    "barcode": ("variant barcode", "barcode", "barcodes"),
    "price": ("variant price", "price"),
    "compare_at_price": ("variant compare at price", "compare-at price"),
    "gender": ("google shopping / gender",),
    "age_group": ("google shopping / age group",),
    "image": ("image src", "product image url"),
    "variant_image": ("variant image", "variant image url"),
    "position": ("image position",),
    "image_alt": ("image alt text",),
}
"""Our name of a column, and what Shopify calls or called it, in lower case."""

OPTIONS = range(1, 4)

_OF_A_VARIANT = ("sku", "barcode", "price", "compare_at_price")
_OF_A_PRODUCT = (
    *("handle", "title", "vendor", "type", "category", "tags", "status", "published"),
    *("gender", "age_group"),
)
_FIRST = ("sku", "id", "handle", "title", "image", "images", "variant", "description")


def recognises(columns: Sequence[str]) -> bool:
    """Whether a table's columns are those of a Shopify export."""
    known = {column.casefold() for column in columns}
    older = {"handle", "title"} <= known and known & {"variant sku", "image src", "body (html)", "option1 value"}
    newer = {"url handle", "title"} <= known and known & {"sku", "product image url", "option1 value"}
    return bool(older or newer)


def arrange(sheet: Sheet, source: str, per: str, findings: Findings) -> Sheet | None:
    """The export's rows under names that every source shares.

    Args:
        sheet: the file's own table.
        source: its name, for messages.
        per: `sku` for a row of each variant, `product` for a row of each product, with its first variant.
        findings: takes all mistakes.
    """
    told = _headers(sheet.columns)
    if "title" not in told or not {"handle", "sku", "image"} & told.keys():
        mend = "Export products from Shopify as CSV, or say source: table to take the columns as they are"
        findings.add(source, "is no Shopify product export: it lacks Title, or Handle, SKU and images", mend)
        return None
    products = list(_Product.gather(sheet, told, source, findings))
    rows: list[tuple[int, dict[str, Cell]]] = []
    for product in products:
        whole = per == "product"
        variants = product.variants[:1] if whole else product.variants
        rows += [(number, product.row(record, whole=whole)) for number, record in variants]
    columns = in_order((row for _, row in rows), _FIRST)
    key = "handle" if per == "product" else "sku"
    if key == "sku" and not any(row["sku"] for _, row in rows):
        key = "id"
        findings.warn(f"{source}: no variant has a SKU, so rows are named by handle and options (column id)")
    origins = {ours: column for ours, column in told.items() if ours in columns and ours != column}
    records = [(number, {column: row.get(column) for column in columns}) for number, row in rows]
    return Sheet(columns, records, key=key, origins=origins)


def _headers(columns: Sequence[str]) -> dict[str, str]:
    """Our names of columns, with the file's."""
    by_folded = {column.casefold(): column for column in reversed(columns)}
    names = {**HEADERS, **{f"option{n}_{part}": (f"option{n} {part}",) for n in OPTIONS for part in _PARTS}}
    found = {
        ours: next((by_folded[one] for one in theirs if one in by_folded), None) for ours, theirs in names.items()
    }
    return {ours: column for ours, column in found.items() if column is not None}


_PARTS = ("name", "value")


@dataclass(slots=True)
class _Product:
    """All rows of one product.

    Attributes:
        told: our names of columns, with the file's.
        others: columns that have no name of ours and keep their own.
        head: the first row, which tells of the product as a whole.
        variants: rows that are one, with their numbers; the first row where none is.
        pictures: position, address and text of each picture.
        number: of the first row.
    """

    told: Mapping[str, str]
    others: Sequence[str]
    head: Record
    variants: list[tuple[int, Record]] = field(default_factory=list)
    pictures: list[tuple[float, str, Cell]] = field(default_factory=list)
    number: int = 0

    @classmethod
    def gather(cls, sheet: Sheet, told: Mapping[str, str], source: str, findings: Findings) -> Iterator[_Product]:
        """The products in the file's order; rows of one need not stand together."""
        others = [column for column in sheet.columns if column not in told.values()]
        by_handle: dict[str, _Product] = {}
        last: _Product | None = None
        for number, record in sheet.records:
            handle, title = (_text(record, told.get(name)) for name in ("handle", "title"))
            name = handle.casefold() or column_name(title)
            if not name and last is None:
                where = f"{source}, row {number}"
                findings.add(where, "names no product", "Fill Handle and Title", group=(source, "handle"))
                continue
            if name:
                last = by_handle.setdefault(name, cls(told, others, record))
            assert last is not None
            last.take(number, record)
        for product in by_handle.values():
            product.variants = product.variants or [(product.number, product.head)]
            product.pictures.sort(key=lambda picture: picture[0])
            yield product

    def take(self, number: int, record: Record) -> None:
        """Sorts one row of the product in: it may be a variant and hold a picture."""
        self.number = self.number or number
        if any(self._text(record, name) for name in (*_OF_A_VARIANT, *(f"option{n}_value" for n in OPTIONS))):
            self.variants.append((number, record))
        address = self._text(record, "image")
        if address and address not in (known for _, known, _ in self.pictures):
            at = self._text(record, "position")
            place = float(at) if at.isascii() and at.isdigit() else float(len(self.pictures) + 1)
            self.pictures.append((place, address, self._cell(record, "image_alt")))

    def row(self, record: Record, *, whole: bool) -> dict[str, Cell]:
        """The columns of one variant; `whole`: it stands for the product, so the picture is the product's."""
        options = list(self._options(record))
        pictures = [address for _, address, _ in self.pictures]
        own = self._text(record, "variant_image")
        image = own if own and not (whole and pictures) else next(iter(pictures), None)
        row: dict[str, Cell] = {"sku": self._cell(record, "sku")}
        row |= {name: self._cell(self.head, name) for name in _OF_A_PRODUCT}
        row["handle"] = row["handle"] or column_name(str(row["title"] or "")).replace("_", "-")
        row["id"] = "/".join([str(row["handle"]), *(column_name(value) or value for _, value in options)])
        row["description"] = plain_text(self._text(self.head, "description")) or None
        row |= {name: self._cell(record, name) for name in _OF_A_VARIANT}
        row["variant"] = " / ".join(value for _, value in options) or None
        row |= {"image": image, **number_pictures(pictures)}
        row["image_alt"] = next((text for _, address, text in self.pictures if address == image), None)
        for column in self.others:
            row.setdefault(column, record[column] if record[column] is not None else self._inherited(column))
        for name, value in options:
            row.setdefault(name if name not in row else f"option_{name}", value)
        return row

    def _options(self, record: Record) -> Iterator[tuple[str, str]]:
        """Names and values of the variant's options. The names stand in the product's first row alone."""
        for n in OPTIONS:
            value = self._text(record, f"option{n}_value")
            name = self._text(self.head, f"option{n}_name") or self._text(record, f"option{n}_name")
            if value and value.casefold() != "default title":
                yield column_name(name) or f"option_{n}", value

    def _inherited(self, column: str) -> Cell:
        """What the product's first row says for a variant; not what it says of its own variant."""
        return None if column.casefold().startswith("variant ") else self.head[column]

    def _cell(self, record: Record, name: str) -> Cell:
        return record[self.told[name]] if name in self.told else None

    def _text(self, record: Record, name: str) -> str:
        return _text(record, self.told.get(name))


def _text(record: Record, column: str | None) -> str:
    cell = record[column] if column is not None else None
    return "" if cell is None else str(cell)

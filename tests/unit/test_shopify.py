"""Rows of Shopify exports of both generations, whole and damaged, with pictures in a folder beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Read

TRIED = settings(deadline=None, max_examples=60)


def as_csv(header: Sequence[str], rows: Sequence[Mapping[str, str]], delimiter: str = ",") -> bytes:
    written = io.StringIO()
    writer = csv.DictWriter(written, header, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode()


OLD = {
    "handle": "Handle",
    "title": "Title",
    "description": "Body (HTML)",
    "vendor": "Vendor",
    "category": "Product Category",
    "type": "Type",
    "tags": "Tags",
    "published": "Published",
    **{f"option{n}_{part}": f"Option{n} {part.title()}" for n in (1, 2, 3) for part in ("name", "value")},
    "sku": "Variant SKU",
    "price": "Variant Price",
    "compare_at_price": "Variant Compare At Price",
    "barcode": "Variant Barcode",
    "image": "Image Src",
    "position": "Image Position",
    "image_alt": "Image Alt Text",
    "variant_image": "Variant Image",
    "status": "Status",
}
NEW = {
    "title": "Title",
    "handle": "URL handle",
    "description": "Description",
    "vendor": "Vendor",
    "category": "Product category",
    "type": "Type",
    "tags": "Tags",
    "published": "Published on online store",
    "status": "Status",
    "sku": "SKU",
    "barcode": "Barcode",
    **{f"option{n}_{part}": f"Option{n} {part}" for n in (1, 2, 3) for part in ("name", "value")},
    "price": "Price",
    "compare_at_price": "Compare-at price",
    "image": "Product image URL",
    "position": "Image position",
    "image_alt": "Image alt text",
    "variant_image": "Variant image URL",
}
GENERATIONS = pytest.mark.parametrize("headers", [OLD, NEW], ids=["old", "new"])
FABRIC = "Fabric (product.metafields.custom.fabric)"

SHIRT: list[dict[str, str]] = [
    {
        "handle": "linen-shirt",
        "title": "Linen shirt",
        "vendor": "Acme",
        "type": "Shirts",
        "status": "active",
        "description": "<p>A <b>light</b> shirt.<br>Two&nbsp;colours.</p>",
        FABRIC: "linen",
        "option1_name": "Color",
        "option1_value": "Red",
        "option2_name": "Heel height",
        "option2_value": "M",
        "sku": "LS-R-M",
        "price": "49.00",
        "image": "https://x.test/2.jpg",
        "position": "2",
        "image_alt": "the back",
        "variant_image": "https://x.test/red.jpg",
    },
    {
        "handle": "linen-shirt",
        "option1_value": "Red",
        "option2_value": "L",
        "sku": "LS-R-L",
        "price": "51.00",
        "image": "https://x.test/1.jpg",
        "position": "1",
        "image_alt": "the front",
    },
    {"handle": "linen-shirt", "image": "https://x.test/3.jpg", "position": "3"},
    {
        "handle": "mug",
        "title": "Mug & saucer",
        "option1_name": "Title",
        "option1_value": "Default Title",
        "sku": "MUG",
        "price": "9.00",
        "image": "https://x.test/mug.jpg",
        "position": "1",
    },
]


def export(
    folder: Path, headers: Mapping[str, str], rows: Sequence[Mapping[str, str]], delimiter: str = ","
) -> None:
    columns = {**headers, FABRIC: FABRIC}
    lines = [{columns[name]: cell for name, cell in row.items()} for row in rows]
    (folder / "products_export.csv").write_bytes(as_csv(list(columns.values()), lines, delimiter))


@GENERATIONS
def test_a_shopify_export_has_a_row_for_each_sku(read: Read, tmp_path: Path, headers: Mapping[str, str]) -> None:
    export(tmp_path, headers, SHIRT)
    table, findings = read(tmp_path, read.of("shopify", "products_export.csv"))
    assert not findings
    assert not findings.warnings
    assert [(row.number, row.key) for row in table.rows] == [(2, "LS-R-M"), (3, "LS-R-L"), (5, "MUG")]
    first, second, mug = read.filled(table)
    assert first == {
        "sku": "LS-R-M",
        "id": "linen-shirt/red/m",
        "handle": "linen-shirt",
        "title": "Linen shirt",
        "description": "A light shirt. Two colours.",
        "vendor": "Acme",
        "type": "Shirts",
        "status": "active",
        "variant": "Red / M",
        "color": "Red",
        "heel_height": "M",
        "price": "49.00",
        FABRIC: "linen",
        "image": "https://x.test/red.jpg",
        "image_2": "https://x.test/2.jpg",
        "image_3": "https://x.test/3.jpg",
        "images": "https://x.test/1.jpg | https://x.test/2.jpg | https://x.test/3.jpg",
    }
    assert (second["title"], second["heel_height"], second["price"]) == ("Linen shirt", "L", "51.00")
    assert (second["image"], second["image_alt"]) == ("https://x.test/1.jpg", "the front")
    assert (second["id"], second[FABRIC]) == ("linen-shirt/red/l", "linen")
    assert {"variant", "color", "image_2"}.isdisjoint(mug)
    assert mug["title"] == "Mug & saucer"
    assert table.where(table.rows[0], "image", "color") == (
        f"{tmp_path}/products_export.csv, row 2, column image ({headers['image']}) or color"
    )


@GENERATIONS
def test_or_for_each_product(read: Read, tmp_path: Path, headers: Mapping[str, str]) -> None:
    export(tmp_path, headers, SHIRT, ";")
    table, findings = read(tmp_path, read.of("shopify", "products_export.csv", per="product"))
    assert not findings
    assert [(row.number, row.key) for row in table.rows] == [(2, "linen-shirt"), (5, "mug")]
    assert [row.data["image"] for row in table.rows] == ["https://x.test/1.jpg", "https://x.test/mug.jpg"]


@GENERATIONS
def test_a_path_alone_is_known_by_its_columns_and_that_is_said(
    read: Read, tmp_path: Path, headers: Mapping[str, str]
) -> None:
    export(tmp_path, headers, SHIRT)
    table, findings = read(tmp_path, "products_export.csv")
    assert [row.key for row in table.rows] == ["LS-R-M", "LS-R-L", "MUG"]
    (warning,) = findings.warnings
    assert "read as a Shopify product export" in warning
    assert "rows: {source: shopify, path: products_export.csv, per: product}" in warning
    table, findings = read(tmp_path, read.of("table", "products_export.csv"), key=FABRIC)
    assert table.columns == (*headers.values(), FABRIC)
    assert not findings.warnings


def test_rows_of_a_product_need_not_stand_together_nor_repeat_its_handle(read: Read, tmp_path: Path) -> None:
    shirt, large, picture, mug = SHIRT
    blank = {name: cell for name, cell in picture.items() if name != "handle"}
    export(tmp_path, OLD, [shirt, blank, mug, large])
    table, findings = read(tmp_path, "products_export.csv")
    assert not findings
    assert [row.key for row in table.rows] == ["LS-R-M", "LS-R-L", "MUG"]
    assert str(table.rows[1].data["images"]).count("|") == 2
    export(tmp_path, NEW, [{**shirt, "handle": ""}, {**mug, "handle": ""}])
    assert [row.data["handle"] for row in read(tmp_path, "products_export.csv")[0].rows] == [
        "linen-shirt",
        "mug-saucer",
    ]


def test_variants_without_sku_are_named_by_handle_and_options(read: Read, tmp_path: Path) -> None:
    rows = [{**row, "sku": ""} for row in SHIRT]
    export(tmp_path, OLD, rows)
    table, findings = read(tmp_path, read.of("shopify", "products_export.csv"))
    assert [row.key for row in table.rows] == ["linen-shirt/red/m", "linen-shirt/red/l", "mug"]
    assert "no variant has a SKU" in findings.warnings[0]
    export(tmp_path, OLD, [SHIRT[0], rows[1]])
    _, findings = read(tmp_path, read.of("shopify", "products_export.csv"))
    assert "row 3, column sku (Variant SKU): is empty" in read.told(findings)
    assert not read(tmp_path, read.of("shopify", "products_export.csv"), key="id")[1]


def test_an_export_saved_by_excel_is_one_too(read: Read, tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(list(NEW.values()))
    for row in SHIRT:
        book.active.append([row.get(name) for name in NEW])
    book.save(tmp_path / "export.xlsx")
    assert [row.key for row in read(tmp_path, "export.xlsx")[0].rows] == ["LS-R-M", "LS-R-L", "MUG"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"sku,noun\na,mug\n", "is no Shopify product export: it lacks Title"),
        (b"Handle,Title,Image Src\n,,https://x.test/a.jpg\n", "row 2: names no product"),
        (b'Handle,Title,Image Src\nmug,"Mug,x\n', "is not CSV"),
        (b"Handle,Title,Image Src\n", "has no rows"),
        (b"Handle,Title,Title\nmug,Mug,Mug\n", "column 3 is called 'Title', and so is 2"),
    ],
)
def test_what_is_no_export_is_told(read: Read, tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "export.csv").write_bytes(data)
    table, findings = read(tmp_path, read.of("shopify", "export.csv"))
    assert what in read.told(findings)
    assert not table.rows or findings


word = st.text(st.characters(categories=("L", "N"), max_codepoint=0x2FF), min_size=1, max_size=8)
words = st.lists(word, min_size=1, max_size=3).map(" ".join)


@dataclass(frozen=True)
class Shirt:
    handle: str
    title: str
    colours: list[str]
    skus: list[str]
    pictures: list[str]


@st.composite
def catalogues(draw: st.DrawFn) -> list[Shirt]:
    handles = draw(st.lists(word.map(str.casefold), min_size=1, max_size=4, unique_by=str.casefold))
    shirts = []
    for handle in handles:
        colours = draw(st.lists(word.filter(lambda w: w.casefold() != "default title"), max_size=3, unique=True))
        skus = [f"{handle}-{n}" for n in range(max(1, len(colours)))]
        pictures = [f"https://x.test/{handle}/{n}.jpg" for n in range(draw(st.integers(0, 4)))]
        shirts.append(Shirt(handle, draw(words), colours, skus, pictures))
    return shirts


def lines_of(shirt: Shirt) -> list[dict[str, str]]:
    """As Shopify writes a product: variants and pictures side by side, as many rows as the longer list has."""
    lines = []
    for n in range(max(len(shirt.skus), len(shirt.pictures))):
        line = {"handle": shirt.handle}
        if n == 0:
            line |= {"title": shirt.title, "option1_name": "Colour" if shirt.colours else "Title"}
        if n < len(shirt.skus):
            line |= {"sku": shirt.skus[n], "option1_value": (shirt.colours or ["Default Title"])[n]}
        if n < len(shirt.pictures):
            line |= {"image": shirt.pictures[n], "position": str(n + 1)}
        lines.append(line)
    return lines


@GENERATIONS
@TRIED
@given(shirts=catalogues())
def test_what_is_written_as_an_export_is_read_back(
    read: Read, shirts: list[Shirt], headers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")
    export(folder, headers, [line for shirt in shirts for line in lines_of(shirt)])
    table, findings = read(folder, "products_export.csv")
    assert not findings, read.told(findings)
    expected = [
        (sku, shirt.title, shirt.colours[n] if shirt.colours else None, shirt.pictures)
        for shirt in shirts
        for n, sku in enumerate(shirt.skus)
    ]
    found = [
        (row.key, row.data["title"], row.data.get("colour"), str(row.data["images"] or "").split(" | "))
        for row in table.rows
    ]
    assert found == [(sku, title, colour, pictures or [""]) for sku, title, colour, pictures in expected]


@TRIED
@given(data=st.data(), shirts=catalogues())
def test_a_damaged_export_is_rows_or_a_mistake_and_never_an_error(
    read: Read, data: st.DataObject, shirts: list[Shirt], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    export(folder, OLD, [line for shirt in shirts for line in lines_of(shirt)])
    whole = bytearray((folder / "products_export.csv").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=4))
        whole = whole or bytearray(b"x")
    (folder / "products_export.csv").write_bytes(bytes(whole))
    for rows in ("products_export.csv", read.of("shopify", "products_export.csv", per="product")):
        table, findings = read(folder, rows)
        assert table.rows or findings


def test_pictures_are_looked_for_in_a_folder_by_the_end_of_their_address(read: Read, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "photos" / "more").mkdir(parents=True)
    export(tmp_path / "shop", OLD, [{**SHIRT[3], "image": "https://cdn.test/s/files/A%20mug.PNG?v=17"}, SHIRT[0]])
    (tmp_path / "photos" / "more" / "a mug.png").touch()
    table, findings = read(tmp_path, read.of("shopify", "shop/products_export.csv", pictures="photos"))
    assert not findings
    assert [row.data["image"] for row in table.rows] == ["../photos/more/a mug.png", "https://x.test/red.jpg"]
    assert table.folder / "../photos/more/a mug.png" == tmp_path / "shop/../photos/more/a mug.png"
    _, findings = read(tmp_path, read.of("shopify", "shop/products_export.csv", pictures="photo"))
    assert "line 5, key rows.pictures: there is no folder" in read.told(findings)
    assert "Did you mean 'photos'" in read.told(findings)

"""Rows of Merchant feeds of every form, whole, damaged and hostile."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

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


ITEMS = [
    {
        "id": "SKU-1",
        "title": "Linen shirt",
        "description": "Light <b>linen</b>",
        "link": "https://x.test/1",
        "image_link": "https://x.test/1.jpg",
        "additional_image_link": "https://x.test/2.jpg,https://x.test/3.jpg",
        "availability": "in_stock",
        "price": "49.00 USD",
        "color": "red",
        "item_group_id": "shirt",
    },
    {
        "id": "SKU-2",
        "title": "Linen shirt",
        "image_link": "https://x.test/b.jpg",
        "price": "49.00 USD",
        "color": "blue",
        "item_group_id": "shirt",
    },
    {"id": "SKU-3", "title": 'Mug "blue" & saucer', "image_link": "https://x.test/m.jpg", "price": "9.00 USD"},
]
GOOGLE = "http://base.google.com/ns/1.0"


def as_xml(items: Sequence[Mapping[str, str]], kind: str, encoding: str = "utf-8") -> bytes:
    """A feed as shops write it: titles and links of the format's own, the rest with a prefix."""
    own = {"title", "description"}
    parts = []
    for item in items:
        fields = ""
        for name, value in item.items():
            values = value.split(",") if name == "additional_image_link" else [value]
            if name == "link" and kind == "atom":
                fields += f'<link href="{escape(value)}" rel="alternate"/>'
                continue
            tag = name if name in own else f"g:{name}"
            fields += "".join(f"<{tag}>{escape(one)}</{tag}>" for one in values)
        fields += "<g:shipping><g:country>US</g:country><g:price>4.00 USD</g:price></g:shipping>"
        parts.append(fields)
    if kind == "rss":
        inner = "".join(f"<item>{part}</item>" for part in parts)
        body = f'<rss version="2.0" xmlns:g="{GOOGLE}"><channel><title>Shop</title>{inner}</channel></rss>'
    else:
        inner = "".join(f"<entry>{part}</entry>" for part in parts)
        body = f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="{GOOGLE}"><title>Shop</title>{inner}</feed>'
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{body}'.encode(encoding)


def as_feed(folder: Path, items: Sequence[Mapping[str, str]], kind: str) -> str:
    header = list(dict.fromkeys(name for item in items for name in item))
    if kind in ("rss", "atom"):
        (folder / "feed.xml").write_bytes(as_xml(items, kind))
        return "feed.xml"
    spoken = {name: name.replace("_", " ") if kind == "tsv" else name for name in header}
    rows = [{spoken[name]: value for name, value in item.items()} for item in items]
    (folder / f"feed.{kind}").write_bytes(as_csv(list(spoken.values()), rows, "\t" if kind == "tsv" else ","))
    return f"feed.{kind}"


@pytest.mark.parametrize("kind", ["csv", "tsv", "rss", "atom"])
def test_a_merchant_feed_of_every_form_has_the_same_rows(read: Read, tmp_path: Path, kind: str) -> None:
    name = as_feed(tmp_path, ITEMS, kind)
    table, findings = read(tmp_path, name)
    assert not findings, read.told(findings)
    assert [row.key for row in table.rows] == ["SKU-1", "SKU-2", "SKU-3"]
    assert read.filled(table)[0] == {
        "sku": "SKU-1",
        "id": "SKU-1",
        "title": "Linen shirt",
        "description": "Light linen",
        "link": "https://x.test/1",
        "image": "https://x.test/1.jpg",
        "image_2": "https://x.test/2.jpg",
        "image_3": "https://x.test/3.jpg",
        "availability": "in_stock",
        "price": "49.00 USD",
        "color": "red",
        "item_group_id": "shirt",
        "images": "https://x.test/1.jpg | https://x.test/2.jpg | https://x.test/3.jpg",
    }
    assert read.filled(table)[2]["title"] == 'Mug "blue" & saucer'
    assert "Merchant product feed" in "".join(findings.warnings)
    table, findings = read(tmp_path, read.of("merchant", name, per="product"))
    assert [row.key for row in table.rows] == ["SKU-1", "SKU-3"]
    assert not findings.warnings


@pytest.mark.parametrize("kind", ["csv", "tsv", "rss", "atom"])
@pytest.mark.parametrize("column", ["sku", "SKU"])
def test_the_sku_of_a_row_is_the_id_and_the_feeds_own_stays_beside_it(
    read: Read, tmp_path: Path, kind: str, column: str
) -> None:
    name = as_feed(tmp_path, [{**ITEMS[0], column: "A7"}, {**ITEMS[1], column: "A7"}], kind)
    table, findings = read(tmp_path, read.of("merchant", name))
    assert not findings, read.told(findings)
    assert [(row.key, row.data["sku"], row.data["own_sku"]) for row in table.rows] == [
        ("SKU-1", "SKU-1", "A7"),
        ("SKU-2", "SKU-2", "A7"),
    ]
    assert table.where(table.rows[0], "sku").endswith("column sku (id)")


def test_rows_of_xml_are_found_by_their_lines(read: Read, tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_bytes(as_xml(ITEMS, "rss").replace(b"<item>", b"\n<item>"))
    table, _ = read(tmp_path, "feed.xml")
    assert table.where(table.rows[1], "image") == (
        f"{tmp_path}/feed.xml, line 4, row 2, column image (image_link)"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_xml_says_its_own_encoding(read: Read, tmp_path: Path, encoding: str) -> None:
    items = [{**ITEMS[0], "title": "Käse für Übermut"}]
    (tmp_path / "feed.xml").write_bytes(as_xml(items, "rss", encoding))
    assert [row.data["title"] for row in read(tmp_path, "feed.xml")[0].rows] == ["Käse für Übermut"]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<rss><channel><item><id>&b;</id></item></channel></rss>"
)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("", "has no rows|no element found"),
        ("<rss>", "is not XML"),
        ("plain text", "is not XML"),
        ("<rss/>", "has no items with attributes"),
        (BOMB, "declares a document type"),
        ('<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss/>', "declares a document type"),
        ("<rss><item><g:id>1</g:id></item></rss>", "unbound prefix"),
        ("<rss><item><id>1</id>&undefined;</item></rss>", "is not XML"),
        ('<?xml version="1.0" encoding="no-such"?><rss/>', "is not XML"),
        ("<rss>" + "<a>" * 100, "nested more than 60 deep"),
        ("<rss><item><id>1</id><title>" + "x" * 100_001 + "</title></item></rss>", "has 100001 characters"),
        ("<rss><item><id>1</id><title>Mug</title></item></rss>", "lacks image_link"),
        (as_xml([ITEMS[0], {**ITEMS[1], "id": ""}], "rss").decode(), "row 2, column sku (id): is empty"),
    ],
)
def test_xml_that_is_no_feed_is_told(read: Read, tmp_path: Path, data: str, what: str) -> None:
    (tmp_path / "feed.xml").write_text(data)
    _, findings = read(tmp_path, "feed.xml")
    assert any(one in read.told(findings) for one in what.split("|")), read.told(findings)
    assert "/etc" not in read.told(findings).replace(str(tmp_path), "").replace("'", "") or "document type" in what


word = st.text(st.characters(categories=("L", "N"), max_codepoint=0x2FF), min_size=1, max_size=8)
words = st.lists(word, min_size=1, max_size=3).map(" ".join)

feeds = st.lists(
    st.fixed_dictionaries(
        {"title": words, "image_link": word.map("https://x.test/{}.jpg".format)},
        optional={
            "description": words,
            "color": words,
            "additional_image_link": st.lists(
                word.map("https://x.test/more/{}".format), min_size=1, max_size=3
            ).map(",".join),
        },
    ),
    min_size=1,
    max_size=4,
).map(lambda items: [{"id": f"SKU-{n}", "price": "1.00 EUR", **item} for n, item in enumerate(items)])


@TRIED
@given(items=feeds)
def test_what_is_written_as_a_feed_is_read_back_alike_from_every_form(
    read: Read, items: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("feeds")
    found = []
    for kind in ("csv", "tsv", "rss", "atom"):
        table, findings = read(folder, read.of("merchant", as_feed(folder, items, kind)))
        assert not findings, read.told(findings)
        found.append(read.filled(table))
    assert found[0] == found[1] == found[2] == found[3]
    for item, row in zip(items, found[0], strict=True):
        pictures = dict.fromkeys((item["image_link"], *item.get("additional_image_link", "").split(",")))
        assert row["images"].split(" | ") == [one for one in pictures if one]
        assert (row["sku"], row["title"], row.get("color")) == (item["id"], item["title"], item.get("color"))


@TRIED
@given(data=st.data(), items=feeds, kind=st.sampled_from(["tsv", "rss", "atom"]))
def test_a_damaged_feed_is_rows_or_a_mistake_and_never_an_error(
    read: Read,
    data: st.DataObject,
    items: list[dict[str, str]],
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = (folder := tmp_path_factory.mktemp("damaged")) / as_feed(folder, items, kind)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole)))
        whole[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    path.write_bytes(bytes(whole))
    table, findings = read(folder, read.of("merchant", path.name))
    assert table.rows or findings

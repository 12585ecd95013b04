"""What all sources of rows have in common: keys, mistakes, columns."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.planning.campaign_file import read_campaign_file
from orchestrator.planning.expand import read_brief
from orchestrator.planning.findings import Findings
from orchestrator.planning.sources.columns import column_name, plain_text
from orchestrator.uploads import Uploaded, bounds, unpack

if TYPE_CHECKING:
    from conftest import Read

EXAMPLE = Path(__file__).parents[2] / "examples" / "lookbook-tryon"

TRIED = settings(deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("rows", "where", "what", "mend"),
    [
        (
            "{source: shopfy, path: a.csv}",
            "line 4, key rows.source",
            "'shopfy' is none of 'table', 'shopify'",
            "What",
        ),
        ("{source: shopify}", "key rows.path", "is missing", "The file or folder"),
        ("{source: shopify, path: a.csv, pre: sku}", "key rows.pre", "there is no such key", "Did you mean 'per'"),
        (
            "{source: shopify, path: a.csv, per: colour}",
            "key rows.per",
            "'colour' is none of 'sku', 'product'",
            "Of",
        ),
    ],
)
def test_a_source_that_is_said_wrongly_is_told(
    tmp_path: Path, rows: str, where: str, what: str, mend: str
) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(f"campaign: x\nmodel: storyboard\nprompt: a\nrows: {rows}\n")
    findings = Findings()
    read_campaign_file(path, findings)
    (problem,) = findings.problems
    assert where in problem.where
    assert what in problem.what
    assert problem.mend.startswith(mend)


def test_keys_that_mean_nothing_to_a_source_are_told(read: Read, tmp_path: Path) -> None:
    (tmp_path / "products_export.csv").write_text("Handle,Title,Variant SKU,Image Src\nmug,Mug,MUG,mug.jpg\n")
    _, findings = read(tmp_path, read.of("shopify", "products_export.csv", pattern="{sku}.jpg", pairs="x.txt"))
    assert (
        "key rows.pairs: means nothing to shopify. Leave it out; it goes with source: viton-hd, dresscode"
        in read.told(findings)
    )
    assert "key rows.pattern: means nothing to shopify. Leave it out; it goes with source: folder" in read.told(
        findings
    )


def test_files_that_are_not_there_are_told_with_those_that_are(read: Read, tmp_path: Path) -> None:
    (tmp_path / "products_export.csv").write_text("Handle,Title,Variant SKU,Image Src\nmug,Mug,MUG,mug.jpg\n")
    for source in ("shopify", "merchant", "table"):
        _, findings = read(tmp_path, read.of(source, "product_export.csv"))
        assert "Did you mean 'products_export.csv'" in read.told(findings)


def test_an_upload_may_bring_an_export_and_its_pictures_but_reach_nothing_else(
    tmp_path: Path, registry: Registry
) -> None:
    settings_, packed = Settings(home=tmp_path), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in (file for file in EXAMPLE.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(EXAMPLE))
    path = unpack(settings_, [Uploaded("lookbook.zip", packed.getvalue())])
    assert len(read_brief(path, settings_, registry, within=bounds(settings_, path)).files) == 5
    text = path.read_text()
    for old, new in (
        ("path: products_export.csv", "path: ../../../customers.csv"),
        ("pictures: images", "pictures: ../../.."),
        ("{{ row.image }}", "s3://shop/{{ row.sku }}.png"),
        ("{{ row.image }}", "file:///etc/{{ row.sku }}.png"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(BadInput, match=r"leads out of what was uploaded|uploaded briefs read none"):
            read_brief(path, settings_, registry, within=bounds(settings_, path))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain  text", "plain text"),
        ("<p>One</p><p>two<br/>three &amp; <b>fo</b>ur</p>", "One two three & four"),
        ("<style>p {}</style><ul><li>a<li>b</ul><script>x()</script>", "a b"),
        ("5 < 6", "5 < 6"),
    ],
)
def test_descriptions_are_what_a_reader_sees(html: str, text: str) -> None:
    assert plain_text(html) == text


@TRIED
@given(st.text(max_size=80))
def test_any_text_has_a_plain_text_and_a_column_name(text: str) -> None:
    assert plain_text(text) == " ".join(plain_text(text).split())
    name = column_name(text)
    assert name == "" or f"row.{name}".isprintable()

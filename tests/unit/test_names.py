"""What files are called: by a pattern, on every system, never two alike; and how they are written."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.delivering.export import MARK, Export, export
from orchestrator.planning.expand import Brief, read_brief
from orchestrator.planning.names import MAX_BYTES, Naming
from orchestrator.planning.templates import TemplateMistake, read_template
from orchestrator.records.storage import Storage, open_storage

ROWS = "rows: [{sku: SKU-1001, colour: red}, {sku: SKU/1002, colour: }]"


def read(folder: Path, registry: Registry, text: str, rows: str = ROWS) -> Brief:
    path = folder / "campaign.yaml"
    path.write_text(f"campaign: test\nmodel: storyboard\nprompt: a thing\n{rows}\n{text}\n")
    return read_brief(path, Settings(home=folder), registry)


def names(brief: Brief) -> list[str]:
    assert brief.naming is not None
    return [brief.naming.name(i.row.data, i.variant, i.seed, i.shape.name) for i in brief.items()]


def test_files_are_called_by_the_pattern(tmp_path: Path, registry: Registry) -> None:
    def named(text: str) -> list[str]:
        return names(read(tmp_path, registry, text))

    assert named('name: "{{ row.sku }}.jpg"') == ["SKU-1001.jpg", "SKU-1002.jpg"]
    assert named('name: "{{ row.sku }}.{{ seed }}"\nseeds: [7]') == ["SKU-1001.7.png", "SKU-1002.7.png"]
    assert named('name: "{{ row.sku }}/{{ scene }}-{{ format }}"\nvary: {scene: ["by the sea", "in a/b"]}') == [
        "SKU-1001/by the sea-square.png",
        "SKU-1001/in a-b-square.png",
        "SKU-1002/by the sea-square.png",
        "SKU-1002/in a-b-square.png",
    ]
    assert read(tmp_path, registry, "").naming is None


@pytest.mark.parametrize(
    ("text", "where", "what", "mend"),
    [
        (
            'name: "{{ row.sku }}.jpg"\nseeds: 2',
            "line 5, key name",
            "SKU-1001.jpg would be two images: seed 0, and seed 1",
            "Add {{ seed }}",
        ),
        ('name: "{{ row.sku }}"\nformats: [square, wide]', "key name", "square, and wide", "Add {{ format }}"),
        ('name: "{{ row.sku }}"\nvary: {x: [1, 2]}', "key name", "x 1, and x 2", "Add {{ x }}"),
        ('name: "one"', "key name", "one.png would be two images: row 1, and row 2", "a column that differs"),
        ('name: "{{ row.skuu }}"', "key name", "names the column 'skuu'", "Did you mean 'sku'"),
        ('name: "{{ scene }}"', "key name", "names 'scene', which is nothing here", "seed, format"),
        ('name: "{{ row.colour }}"', "row 2, column colour", "the cell in column 'colour' is empty", "Fill it"),
        ('name: "{{ row.sku"', "key name", "is no template", "Mend the braces"),
        ('name: ""', "key name", "is empty", "What the files are called"),
        ('name: "../{{ row.sku }}"', "row 1, column sku", "ends in a dot", "Write another one"),
        ('name: "/{{ row.sku }}"', "row 1, column sku", "is empty", "Write another one"),
        ('name: "a:{{ row.sku }}"', "row 1, column sku", "it holds ':'", "Write another one"),
        ('name: "{{ seed }}/con.jpg"', "key name", "Windows keeps con.jpg for itself", "Write another one"),
    ],
)
def test_names_that_cannot_be_are_told_before_anything_is_made(
    tmp_path: Path, registry: Registry, text: str, where: str, what: str, mend: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, registry, text)
    problem = caught.value.problems[0]
    assert where in problem.where
    assert what in problem.what
    assert mend in problem.mend


def test_names_that_differ_in_capitals_alone_are_one_on_many_disks(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(BadInput, match=r"A1\.png would be two images"):
        read(tmp_path, registry, 'name: "{{ row.sku }}"', "rows: [{sku: a1}, {sku: A1}]")


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@settings(deadline=None, max_examples=200)
@given(cell=text, scene=text)
def test_whatever_cells_hold_a_name_stays_below_its_folder(cell: str, scene: str) -> None:
    naming = Naming(read_template("{{ row.sku }}/{{ scene }}.jpg"), {})
    try:
        name = naming.name({"sku": cell or None}, {"scene": scene}, 0, "square")
    except TemplateMistake:
        return
    parts = name.split("/")
    assert len(parts) == 2
    assert not any(mark in name for mark in '\\:*?"<>|\0\n')
    assert all(part and not part.endswith(".") and len(part.encode()) <= MAX_BYTES for part in parts)
    assert Path(os.path.normpath(Path("/out") / name)).is_relative_to("/out")


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "store"))


def image(mode: str, colour: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (16, 16), colour).save(file, "PNG")
    return file.getvalue()


def test_files_are_written_once_and_again_where_the_image_is_another(tmp_path: Path, store: Storage) -> None:
    red, blue = image("RGB", (200, 10, 10)), image("RGBA", (0, 0, 250, 0))
    put = {data: store.put(data, "test") for data in (red, blue)}
    wanted = [Export("a/SKU-1.jpg", put[red], len(red)), Export("SKU-1.png", put[red], len(red))]
    folder = tmp_path / "out"
    assert export(store, wanted, folder) == 2
    assert export(store, wanted, folder) == 0
    assert (folder / "SKU-1.png").read_bytes() == red
    with Image.open(folder / "a" / "SKU-1.jpg") as written:
        assert written.format == "JPEG"
        assert written.info["comment"].decode() == MARK + hashlib.sha256(red).hexdigest()
        assert all(abs(a - b) < 4 for a, b in zip(written.getpixel((5, 5)), (200, 10, 10), strict=True))  # type: ignore[arg-type]
    assert export(store, [Export("a/SKU-1.jpg", put[blue], len(blue))], folder) == 1
    with Image.open(folder / "a" / "SKU-1.jpg") as written:
        assert min(written.getpixel((5, 5))) > 250  # type: ignore[type-var, arg-type]
    (folder / "a" / "SKU-1.jpg").write_bytes(b"somebody else's")
    assert export(store, wanted, folder) == 1
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["SKU-1.jpg", "SKU-1.png"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, store: Storage) -> None:
    data = image("RGB", "red")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInput, match="can't be written"):
        export(store, [Export("a.png", store.put(data, "test"), len(data))], tmp_path / "out")

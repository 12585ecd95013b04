"""Rows from folders of pictures and from the folders of try-on research."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Read

TRIED = settings(deadline=None, max_examples=60)


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).touch()
    return folder


def test_a_folder_has_a_row_for_each_picture(read: Read, tmp_path: Path) -> None:
    folder_of(
        tmp_path, "SKU-2_back.jpg", "SKU-1_front.JPG", "plain.heic", "notes.txt", ".hidden.jpg", "more/a.png"
    )
    table, findings = read(tmp_path, read.of("folder", "photos"))
    assert not findings
    assert table.folder == tmp_path / "photos"
    assert read.filled(table) == [
        {
            "name": "SKU-1_front",
            "image": "SKU-1_front.JPG",
            "file": "SKU-1_front.JPG",
            "part_1": "SKU-1",
            "part_2": "front",
        },
        {
            "name": "SKU-2_back",
            "image": "SKU-2_back.jpg",
            "file": "SKU-2_back.jpg",
            "part_1": "SKU-2",
            "part_2": "back",
        },
        {"name": "plain", "image": "plain.heic", "file": "plain.heic"},
    ]


def test_a_pattern_names_what_stands_in_the_names(read: Read, tmp_path: Path) -> None:
    folder_of(tmp_path, "dresses/SKU_12_front.jpg", "dresses/SKU_12_back.JPG", "tops/x_y.png", "tops/odd.jpg")
    table, findings = read(tmp_path, read.of("folder", "photos", pattern="{category}/{sku}_{view}.jpg"))
    assert [(row.key, row.data["category"], row.data["sku"], row.data["view"]) for row in table.rows] == [
        ("dresses/SKU_12_back", "dresses", "SKU_12", "back"),
        ("dresses/SKU_12_front", "dresses", "SKU_12", "front"),
    ]
    assert "2 pictures don't fit the pattern {category}/{sku}_{view}.jpg" in findings.warnings[0]
    assert "tops/odd.jpg, tops/x_y.png" in findings.warnings[0]
    table, _ = read(tmp_path, read.of("folder", "photos", pattern="*/{sku}_*"))
    assert [row.data["sku"] for row in table.rows] == ["SKU_12", "SKU_12", "x"]


@pytest.mark.parametrize(
    ("names", "keys", "what"),
    [
        (["a.jpg"], {"pattern": "{sku}_{sku}.jpg"}, "names sku twice"),
        (["a.jpg"], {"pattern": "{image}.jpg"}, "names image, which every row has by itself"),
        (["a.jpg"], {"pattern": "front.jpg"}, "names nothing"),
        (["a.jpg"], {"pattern": "{sku}_{.jpg"}, "has a brace that holds no name"),
        (["a.jpg"], {"pattern": "{sku}_{view}.jpg"}, "fits none of the 1 pictures, as a.jpg"),
        (["a.txt"], {}, "holds no pictures"),
        ([], {}, "is not there. Check the path"),
    ],
)
def test_folders_that_make_no_rows_are_told(
    read: Read, tmp_path: Path, names: list[str], keys: dict[str, str], what: str
) -> None:
    folder_of(tmp_path, *names)
    table, findings = read(tmp_path, read.of("folder", "photos", **keys))
    assert what in read.told(findings)
    assert not table.rows


@pytest.mark.parametrize(
    ("pattern", "name", "parts"),
    [
        ("{sku}.{view}", "SKU1.front.jpg", {"sku": "SKU1", "view": "front"}),
        ("v1.2_{sku}", "v1.2_mug.png", {"sku": "mug"}),
        ("{sku}.{view}.jpg", "SKU1.front.JPG", {"sku": "SKU1", "view": "front"}),
        ("{sku}.*", "v1.2.webp", {"sku": "v1.2"}),
        ("{sku}.jp*", "mug.jpeg", {"sku": "mug"}),
    ],
)
def test_a_dot_within_a_pattern_begins_no_ending(
    read: Read, tmp_path: Path, pattern: str, name: str, parts: dict[str, str]
) -> None:
    table, findings = read(folder_of(tmp_path, name), read.of("folder", "photos", pattern=pattern))
    assert not findings, read.told(findings)
    assert {key: table.rows[0].data[key] for key in parts} == parts


@pytest.mark.parametrize(
    ("name", "shown"), [(b"caf\xe9_front.jpg", r"caf\xe9_front.jpg"), (b"a\x07b.png", r"a\x07b.png")]
)
def test_names_that_can_not_be_kept_are_told_in_letters_that_can(
    read: Read, tmp_path: Path, name: bytes, shown: str
) -> None:
    folder_of(tmp_path, "SKU-1_front.jpg")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/" + name)).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    table, findings = read(tmp_path, read.of("folder", "photos"))
    assert not table.rows
    (problem,) = findings.problems
    assert problem.where == str(tmp_path / "photos")
    assert (
        problem.what == f"a picture has a name that can't be kept, not UTF-8 or with control characters: {shown}"
    )
    assert problem.mend == "Rename it, or the folder that it lies in"
    assert str(problem).encode().decode().isprintable()


part = st.text("abcXYZ019-äß", min_size=1, max_size=6)


@TRIED
@given(values=st.lists(part, min_size=2, max_size=3), ending=st.sampled_from([".jpg", ".png", ".WEBP"]))
def test_a_name_that_is_made_by_a_pattern_is_read_back(
    read: Read, values: list[str], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(tmp_path_factory.mktemp("named"), "_".join(values) + ending)
    pattern = "_".join(f"{{p{n}}}" for n in range(len(values)))
    for asked in (pattern, pattern + ending.lower()):
        table, findings = read(folder, read.of("folder", "photos", pattern=asked))
        assert not findings
        assert [table.rows[0].data[f"p{n}"] for n in range(len(values))] == values


@TRIED
@given(pattern=st.text("{}*/_.abAB0( [\\", max_size=12))
def test_any_text_is_a_pattern_or_no_pattern(
    read: Read, pattern: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(tmp_path_factory.mktemp("any"), "a_b.jpg", "c/d.png")
    table, findings = read(folder, read.of("folder", "photos", pattern=pattern))
    assert table.rows or findings


def write_pairs(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("split", ["test/", ""])
def test_viton_hd_has_a_row_for_each_pair(read: Read, tmp_path: Path, split: str) -> None:
    for name in ("image", "cloth", "cloth-mask"):
        (tmp_path / "viton" / split / name).mkdir(parents=True)
    write_pairs(tmp_path / "viton" / "test_pairs.txt", "00891_00.jpg 01430_00.jpg\n\n03615_00.jpg 09933_00.jpg\n")
    write_pairs(tmp_path / "viton" / "train_pairs.txt", "1.jpg 2.jpg\n")
    table, findings = read(tmp_path, read.of("viton-hd", "viton"))
    assert not findings
    assert table.folder == tmp_path / "viton"
    assert read.filled(table)[0] == {
        "pair": "00891_00-01430_00",
        "sku": "01430_00",
        "person": f"{split}image/00891_00.jpg",
        "garment": f"{split}cloth/01430_00.jpg",
        "garment_mask": f"{split}cloth-mask/01430_00.jpg",
    }
    assert [row.key for row in table.rows] == ["00891_00-01430_00", "03615_00-09933_00"]
    assert table.where(table.rows[1], "person").endswith("viton, line 3, row 2, column person")
    assert "pairs come from test_pairs.txt; pairs: names another (train_pairs.txt)" in findings.warnings[0]


def test_dresscode_has_the_pairs_of_all_categories(read: Read, tmp_path: Path) -> None:
    for name in ("dresses", "upper_body"):
        (tmp_path / "code" / name / "images").mkdir(parents=True)
        write_pairs(tmp_path / "code" / name / "test_pairs_unpaired.txt", "020714_0.jpg\t020715_1.jpg\n")
        write_pairs(tmp_path / "code" / name / "test_pairs_paired.txt", "020714_0.jpg\t020714_1.jpg\t2\n")
    table, findings = read(tmp_path, read.of("dresscode", "code", pairs="test_pairs_paired.txt"))
    assert not findings
    assert read.filled(table)[1] == {
        "pair": "upper_body-020714_0-020714_1",
        "sku": "020714_1",
        "category": "upper_body",
        "person": "upper_body/images/020714_0.jpg",
        "garment": "upper_body/images/020714_1.jpg",
    }
    assert [row.data["garment"] for row in read(tmp_path, read.of("dresscode", "code"))[0].rows] == [
        "dresses/images/020715_1.jpg",
        "upper_body/images/020715_1.jpg",
    ]


@pytest.mark.parametrize(
    ("source", "files", "keys", "what"),
    [
        ("viton-hd", {"test_pairs.txt": "a.jpg b.jpg"}, {}, "has no image/ and cloth/"),
        ("viton-hd", {"image/a.jpg": "", "cloth/b.jpg": ""}, {}, "has no pairs file. Put test_pairs.txt there"),
        ("viton-hd", {"test_pairs.txt": "a.jpg b.jpg"}, {"pairs": "test.txt"}, "Did you mean 'test_pairs.txt'"),
        ("viton-hd", {"test_pairs.txt": "a\nb c", "image/a": "", "cloth/b": ""}, {}, "test_pairs.txt, line 1"),
        ("viton-hd", {"test_pairs.txt": " \n", "image/a": "", "cloth/b": ""}, {}, "names no pair"),
        ("viton-hd", {"test_pairs.txt": "a b\na b", "image/a": "", "cloth/b": ""}, {}, "'a-b' names row 1 too"),
        ("dresscode", {"test_pairs.txt": "a b"}, {}, "has none of dresses/images/, lower_body/images/"),
        ("dresscode", {"dresses/images/a.jpg": ""}, {}, "dresses: has no pairs file"),
    ],
)
def test_folders_that_are_not_laid_out_so_are_told(
    read: Read, tmp_path: Path, source: str, files: dict[str, str], keys: dict[str, str], what: str
) -> None:
    for name, text in files.items():
        write_pairs(tmp_path / "set" / name, text)
    _, findings = read(tmp_path, read.of(source, "set", **keys))
    assert what in read.told(findings)


@TRIED
@given(data=st.binary(max_size=80))
def test_any_bytes_are_pairs_or_a_mistake(
    read: Read, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("image", "cloth"):
        (folder / "set" / name).mkdir(parents=True)
    (folder / "set" / "test_pairs.txt").write_bytes(data)
    table, findings = read(folder, read.of("viton-hd", "set"))
    assert table.rows or findings

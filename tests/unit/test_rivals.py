"""Which row another tool's picture belongs to: by its name, its folder or a CSV, and never by a guess."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from core.errors import BadInput
from orchestrator.reviewing.rivals import _place


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


DATA = picture()


def place(keys: list[str], *names: str, told: str = "") -> dict[str, str]:
    files = dict.fromkeys(names, DATA)
    return _place({**files, **({"rows.csv": told.encode()} if told else {})}, keys)


def test_a_picture_is_its_row_s_by_its_name_or_its_folder() -> None:
    names = ("SKU-1.png", "sku 1-2.png", "SKU-12.png", "SKU-1/any.png")
    assert place(["SKU-1", "SKU-12"], *names) == dict(
        zip(names, ["SKU-1", "SKU-1", "SKU-12", "SKU-1"], strict=True)
    )


def test_a_csv_tells_files_of_one_name_in_two_folders_apart() -> None:
    told = "row,file\nA,a/front.png\nB,b\\front.png\n"
    assert place(["A", "B"], "a/front.png", "b/front.png", told=told) == {"a/front.png": "A", "b/front.png": "B"}


def test_a_csv_may_leave_folders_out_where_a_name_stands_for_one_file() -> None:
    assert place(["A", "B"], "some/front.png", told="row,file\nB,front.png\n") == {"some/front.png": "B"}


def test_a_csv_in_a_folder_tells_of_the_files_beside_it() -> None:
    files = {"drop/x/front.png": DATA, "drop/y/front.png": DATA}
    told = b"row,file\nA,x/front.png\nB,y/front.png\n"
    assert _place({**files, "drop/rows.csv": told}, ["A", "B"]) == {
        "drop/x/front.png": "A",
        "drop/y/front.png": "B",
    }


def test_a_csv_may_name_folders_that_the_chosen_files_have_lost() -> None:
    assert place(["A", "B"], "one.png", told="row,file\nB,pictures/one.png\n") == {"one.png": "B"}
    with pytest.raises(BadInput, match=r"front\.png: could belong to the rows A and B"):
        place(["A", "B"], "front.png", told="row,file\nA,a/front.png\nB,b/front.png\n")


def test_a_file_that_a_csv_gives_to_two_rows_is_nobody_s() -> None:
    with pytest.raises(BadInput, match=r"one\.png: could belong to the rows A and B"):
        place(["A", "B"], "one.png", told="row,file\nA,one.png\nB,one.png\n")


def test_keys_in_any_writing_are_told_apart() -> None:
    assert place(["靴", "帽"], "靴.png", "帽-2.png") == {"靴.png": "靴", "帽-2.png": "帽"}
    with pytest.raises(BadInput, match=r"readme\.png: belongs to no row"):
        place(["靴", "帽"], "靴.png", "readme.png")


def test_a_name_that_could_be_of_two_rows_is_nobody_s() -> None:
    assert place(["A-1", "A_1"], "A_1.png", "a-1.png") == {"A_1.png": "A_1", "a-1.png": "A-1"}
    with pytest.raises(BadInput, match=r"A 1\.png: could belong to the rows A-1 and A_1"):
        place(["A-1", "A_1"], "A 1.png")


def test_a_line_without_a_row_is_told_with_its_number() -> None:
    with pytest.raises(BadInput, match=r"rows\.csv, line 3: has no row for b\.png"):
        place(["A"], "a.png", "b.png", told="row,file\nA,a.png\n,b.png\n")

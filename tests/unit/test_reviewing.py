"""Reviewing without a database: rights, reasons, stacks, the chain's hashes, looks of pictures, uploads."""

from __future__ import annotations

import datetime
import io
import uuid
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.errors import BadInput
from core.requests import Request
from core.scoring.hashes import look
from core.settings import Settings
from orchestrator.reviewing import reasons, rivals
from orchestrator.reviewing.chain import Link, origin
from orchestrator.reviewing.people import RIGHTS, Actor, Forbidden, Right, Role
from orchestrator.reviewing.stacks import Pictured, distance, stack
from orchestrator.uploads import Uploaded, unpack

REQUEST = Request("fake", "a mug from [ref#1] in a studio", (), 512, 512, 7, 12, 4.5)


@pytest.mark.parametrize(
    ("role", "able"),
    [
        (Role.VIEWER, {"see"}),
        (Role.REVIEWER, {"see", "decide"}),
        (Role.APPROVER, {"see", "decide", "confirm"}),
        (Role.PRODUCER, {"see", "steer"}),
        (Role.ADMIN, {"see", "decide", "confirm", "steer", "manage"}),
    ],
)
def test_each_role_has_these_rights_and_no_other(role: Role, able: set[str]) -> None:
    assert RIGHTS[role] == able
    for right in Right:
        actor = Actor("ana", role, frozenset({"drop"}))
        assert actor.may(right, "drop") == (right in able)
        assert not actor.may(right, "other")


def test_a_refusal_says_who_could() -> None:
    with pytest.raises(Forbidden, match="vic is viewer and may not confirm; an admin can make them approver"):
        Actor("vic", Role.VIEWER).require(Right.CONFIRM)


def test_the_closed_list_of_reasons() -> None:
    assert list(reasons.load()) == [
        "limbs",
        "text_garbled",
        "glossy",
        "detail_lost",
        "wrong_person",
        "pattern_drift",
        "colour_off",
        "composition",
        "off_brief",
    ]


def test_every_reason_changes_something() -> None:
    for name, reason in reasons.load().items():
        after = reasons.change_request(REQUEST, [name])
        larger = reasons.enlarge(65536, [name], 10**9) > 65536
        assert after != REQUEST or larger, reason.title


def test_glossy_lowers_the_guidance_and_says_so() -> None:
    after = reasons.change_request(REQUEST, ["glossy"])
    assert after.guidance == 3.6
    assert after.prompt == "a mug from [ref#1] in a studio. natural texture, matte surfaces."
    assert [str(change) for change in reasons.list_changes(REQUEST, after)] == [
        "guidance 4.5 → 3.6",
        "prompt note: natural texture, matte surfaces.",
    ]


@given(
    st.lists(st.sampled_from(sorted(reasons.load())), max_size=5),
    st.floats(0.5, 12),
    st.integers(0, 2**31 - 1),
    st.integers(256, 2**20),
)
def test_changes_stay_within_their_limits(names: list[str], guidance: float, seed: int, area: int) -> None:
    before = replace(REQUEST, guidance=guidance, seed=seed)
    after = reasons.change_request(before, names)
    low, high = reasons.limits().guidance
    assert after.guidance == guidance or low <= after.guidance <= high
    assert 0 <= after.seed < 2**31
    assert after.prompt.startswith(before.prompt)
    assert area <= reasons.enlarge(area, names, 2 * area) <= max(area, reasons.limits().area)
    assert reasons.change_request(before, names) == after, "the same reasons, the same change"
    kept = {one.name: getattr(after, one.name) for one in fields(Request)} | {
        "guidance": guidance,
        "seed": seed,
        "prompt": before.prompt,
    }
    assert Request(**kept) == before, "nothing else changes"


def test_a_note_is_added_once() -> None:
    once = reasons.change_request(REQUEST, ["glossy", "glossy"])
    assert reasons.change_request(once, ["glossy"]).prompt == once.prompt


def test_images_that_differ_by_seed_alone_are_a_stack() -> None:
    pictures = [
        Pictured(1, "row square", "beach", 0),
        Pictured(2, "row square", "beach", 2**40 - 1),
        Pictured(3, "row square", "studio", -1),
        Pictured(4, "row portrait", "beach", 0),
    ]
    assert stack(pictures) == {1: 1, 2: 1}


def test_near_duplicates_of_a_row_are_a_stack_and_others_are_not() -> None:
    alike = Pictured(2, "row", "studio", 0b111)
    assert stack([Pictured(1, "row", "beach", 0), alike]) == {1: 1, 2: 1}
    assert stack([Pictured(1, "row", "beach", 0), replace(alike, group="other row")]) == {}
    assert stack([Pictured(1, "row", "beach", 0), replace(alike, look=2**20 - 1)]) == {}
    assert stack([Pictured(1, "row", "beach", None), replace(alike, look=None)]) == {}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-8, 8)), max_size=30))
def test_stacks_part_the_images_whatever_their_order(told: list[tuple[int, int, int]]) -> None:
    pictures = [Pictured(k, group, variant, seen) for k, (group, variant, seen) in enumerate(told)]
    found = stack(pictures)
    assert stack(reversed(pictures)) == found
    groups = {one.id: one.group for one in pictures}
    for one, head in found.items():
        assert head <= one
        assert groups[head] == groups[one]
        assert list(found.values()).count(head) >= 2


def test_looks_of_like_pictures_are_near_and_of_others_far() -> None:
    def drawn(x: int, colour: str) -> Image.Image:
        picture = Image.effect_noise((128, 128), 8).convert("RGB")
        ImageDraw.Draw(picture).ellipse((x, 30, x + 60, 90), fill=colour)
        return picture

    near = distance(look(drawn(20, "black")), look(drawn(21, "black")))
    far = distance(look(drawn(20, "black")), look(drawn(64, "white")))
    assert near < far
    assert -(2**63) <= look(drawn(20, "black")) < 2**63


def link(**more: Any) -> Link:
    told: dict[str, Any] = {
        "id": uuid.UUID(int=1),
        "campaign_id": 1,
        "number": 1,
        "item_id": 2,
        "version": 1,
        "asset_sha256": "0" * 64,
        "verdict": "approved",
        "actor": "ana",
        "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC),
        "previous": origin(1),
    }
    return Link(**(told | more))


def test_the_hash_of_a_decision_is_what_it_was_in_the_first_release() -> None:
    assert link().digest() == HASH


HASH = "374192e3fd484d79c41840054ac5fc5a74163ffcd3bfaf21f1ef74ee87ac6c38"


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "rejected"},
        {"actor": "ben"},
        {"comment": "x"},
        {"reasons": ["limbs"]},
        {"pins": [{"x": 0, "y": 0}]},
        {"asset_sha256": "1" * 64},
        {"version": 2},
        {"number": 2},
        {"previous": "0" * 64},
        {"milliseconds": 1},
        {"undoes": uuid.UUID(int=3)},
        {"at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678902, tzinfo=datetime.UTC)},
    ],
)
def test_the_hash_covers_every_field(changed: dict[str, Any]) -> None:
    assert link(**changed).digest() != link().digest()


def test_the_hash_does_not_depend_on_the_time_zone() -> None:
    east = datetime.timezone(datetime.timedelta(hours=9))
    assert link(at=link().at.astimezone(east)).digest() == link().digest()


def test_win_rates_count_draws_as_half_and_tell_how_sure_they_are() -> None:
    rate = rivals.WinRate("tool", 10, 6, 2, 2)
    assert rate.rate == 0.7
    assert rate.bounds is not None
    low, high = rate.bounds
    assert 0.39 < low < 0.41
    assert 0.88 < high < 0.90
    assert rivals.WinRate("tool", 1, 0, 0, 0).rate is None


def zipped(files: dict[str, bytes]) -> Uploaded:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return Uploaded("brief.zip", file.getvalue())


def test_a_zip_is_unpacked_and_its_campaign_file_found(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    sent = zipped({"drop/campaign.yaml": b"campaign: x", "drop/images/mug.png": b"p", "__MACOSX/x.yaml": b""})
    path = unpack(settings, [sent])
    assert path.read_text() == "campaign: x"
    assert (path.parent / "images" / "mug.png").read_bytes() == b"p"
    assert unpack(settings, [sent]) == path, "the same upload lies in the same place"


def test_loose_files_lie_where_the_campaign_file_looks(tmp_path: Path) -> None:
    files = [
        Uploaded("campaign.yaml", b'image: "images/{{ row.image }}"\nother: refs/style.png'),
        Uploaded("mug.png", b"p"),
        Uploaded("style.png", b"s"),
    ]
    path = unpack(Settings(home=tmp_path), files)
    assert (path.parent / "images" / "mug.png").exists()
    assert (path.parent / "refs" / "style.png").exists()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([zipped({"a.yaml": b"", "b.yaml": b""})], "2 files could be the campaign file"),
        ([zipped({"a.png": b""})], "no campaign file"),
        ([Uploaded("x.zip", b"PK no zip")], "is no ZIP that can be read"),
        ([Uploaded("../../etc/x.yaml", b"")], "leads out of its folder"),
        ([Uploaded("/etc/x.yaml", b"")], "leads out of its folder"),
        ([Uploaded("C:\\x.yaml", b"")], "leads out of its folder"),
    ],
)
def test_uploads_that_can_not_be_used_are_refused(tmp_path: Path, sent: list[Uploaded], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        unpack(Settings(home=tmp_path), sent)
    assert not list(tmp_path.iterdir())


def test_a_zip_that_leads_out_of_its_folder_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leads out of its folder"):
        unpack(Settings(home=tmp_path / "home"), [zipped({"../evil.yaml": b"campaign: x"})])
    assert not list(tmp_path.rglob("*.yaml"))

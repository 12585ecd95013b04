"""The drawn people and garments: every value draws at the size asked for and tells its truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.errors import BadInput
from core.training.world.faces import draw_face
from core.training.world.garments import draw_garment
from core.training.world.palette import COLOURS, SKINS
from core.training.world.people import Figure, draw_person
from core.training.world.truth import FULL, Face, Garment, Look, Person

FACE = Face("light", "short", "brown", "blue", glasses=False, beard=False, freckles=False)
TEE = Garment("t-shirt", Look("red", "white", "plain", "none"))
PERSON = Person(FACE, TEE, "standing", "whole")


def painted(person: Person, height: int = 110) -> Figure:
    """The person with the shades of one seed."""
    return draw_person(person, height, random.Random(5))


def head(face: Face, height: int = 96, turn: float = 0.0) -> np.ndarray:
    """The face with the shades of one seed, as numbers of one size."""
    picture = draw_face(face, height, random.Random(5), turn=turn).resize((64, 64), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32)


def near(picture: Image.Image, colour: str, where: np.ndarray) -> float:
    """The share of the pixels `where` that look like a named colour of the world."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)[where]
    return float((np.abs(pixels - np.asarray(COLOURS[colour])).max(axis=-1) < 36).mean())


def tight(picture: Image.Image) -> bool:
    """Whether nothing empty lies around what is drawn."""
    return picture.getchannel("A").getbbox() == (0, 0, *picture.size)


@pytest.mark.parametrize("framing", ["bust", "whole"])
@pytest.mark.parametrize("pose", FULL.poses)
@pytest.mark.parametrize("kind", FULL.garments)
def test_every_garment_is_worn_in_every_pose(kind: str, pose: str, framing: str) -> None:
    person = replace(PERSON, garment=replace(TEE, kind=kind), pose=pose, framing=framing)
    for height in (16, 47, 110):
        figure = painted(person, height)
        assert figure.picture.mode == "RGBA"
        assert figure.picture.height == height
        assert figure.picture.size == figure.garment.size == figure.face.size
        assert tight(figure.picture)


@pytest.mark.parametrize("skin", FULL.skins)
@pytest.mark.parametrize("hair", FULL.hairs)
def test_every_face_is_drawn_as_high_as_asked(skin: str, hair: str) -> None:
    for colour in FULL.hair_colours:
        for eyes in FULL.eyes:
            picture = draw_face(Face(skin, hair, colour, eyes, True, True, True), 33, random.Random(0))
            assert (picture.mode, picture.height) == ("RGBA", 33)
            assert tight(picture)


@pytest.mark.parametrize("kind", FULL.garments)
def test_every_flat_garment_is_drawn_as_high_as_asked(kind: str) -> None:
    for colour in FULL.colours:
        second = "white" if colour != "white" else "black"
        for pattern in FULL.patterns:
            garment = Garment(kind, Look(colour, second, pattern, "none"))
            picture = draw_garment(garment, 31, random.Random(0))
            assert (picture.mode, picture.height) == ("RGBA", 31)
            assert tight(picture)


def test_the_same_input_draws_the_same_bytes() -> None:
    person = replace(PERSON, face=replace(FACE, hair="curly", glasses=True), pose="waving")
    one, other = painted(person), painted(person)
    assert one.picture.tobytes() == other.picture.tobytes()
    assert one.garment.tobytes() == other.garment.tobytes()
    assert one.face.tobytes() == other.face.tobytes()
    flat = [draw_garment(TEE, 90, random.Random(7)).tobytes() for _ in range(2)]
    assert flat[0] == flat[1]
    assert (head(FACE) == head(FACE)).all()


def test_chance_moves_shades_but_no_outline() -> None:
    one = draw_garment(TEE, 90, random.Random(1))
    other = draw_garment(TEE, 90, random.Random(2))
    assert one.getchannel("A").tobytes() == other.getchannel("A").tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("framing", ["bust", "whole"])
@pytest.mark.parametrize("hair", FULL.hairs)
def test_the_masks_lie_within_the_person_and_apart(hair: str, framing: str) -> None:
    figure = painted(replace(PERSON, face=replace(FACE, hair=hair), framing=framing))
    alpha, garment, face = (
        np.asarray(part, dtype=np.int32) for part in (figure.picture.getchannel("A"), figure.garment, figure.face)
    )
    assert (garment <= alpha).all()
    assert (face <= alpha).all()
    assert (garment + face <= alpha + 1).all()
    assert (garment > 127).mean() > 0.1
    assert (face > 127).mean() > 0.1


@pytest.mark.parametrize("framing", ["bust", "whole"])
@pytest.mark.parametrize("kind", FULL.garments)
@pytest.mark.parametrize("colour", ["red", "blue", "white", "black"])
def test_the_garment_mask_shows_the_garments_colour(colour: str, kind: str, framing: str) -> None:
    garment = Garment(kind, Look(colour, "orange", "plain", "none"))
    figure = painted(replace(PERSON, garment=garment, framing=framing))
    assert near(figure.picture, colour, np.asarray(figure.garment) > 200) > 0.5
    elsewhere = (np.asarray(figure.garment) == 0) & (np.asarray(figure.picture.getchannel("A")) > 200)
    assert near(figure.picture, colour, elsewhere) < 0.25


@pytest.mark.parametrize("kind", FULL.garments)
def test_flat_and_worn_garment_share_their_colours(kind: str) -> None:
    garment = Garment(kind, Look("green", "yellow", "checks", "none"))
    flat = draw_garment(garment, 110, random.Random(5))
    figure = painted(replace(PERSON, garment=garment))
    for colour in ("green", "yellow"):
        laid = near(flat, colour, np.asarray(flat.getchannel("A")) > 200)
        worn = near(figure.picture, colour, np.asarray(figure.garment) > 200)
        assert laid > 0.15
        assert worn > 0.15
        assert abs(laid - worn) < 0.2


def test_the_emblem_is_seen_flat_worn_and_in_a_bust() -> None:
    garment = Garment("t-shirt", Look("blue", "yellow", "plain", "star"))
    flat = draw_garment(garment, 110, random.Random(5))
    assert near(flat, "yellow", np.asarray(flat.getchannel("A")) > 200) > 0.04
    for framing in ("bust", "whole"):
        figure = painted(replace(PERSON, garment=garment, framing=framing))
        assert near(figure.picture, "yellow", np.asarray(figure.garment) > 200) > 0.04


CHANGES: dict[str, Callable[[Face], Face]] = {
    "glasses": lambda face: replace(face, glasses=True),
    "beard": lambda face: replace(face, beard=True),
    "freckles": lambda face: replace(face, freckles=True),
    "hair": lambda face: replace(face, hair="spiky" if face.hair != "spiky" else "long"),
    "hair colour": lambda face: replace(face, hair_colour="blond"),
    "eyes": lambda face: replace(face, eyes="green"),
}
LEAST = {"glasses": 0.03, "beard": 0.06, "freckles": 0.006, "hair": 0.1, "hair colour": 0.1, "eyes": 0.004}
"""The share of a face's pixels that each change has to move clearly."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("skin", FULL.skins)
def test_what_is_true_of_a_face_is_seen_in_it(skin: str, change: str) -> None:
    face = replace(FACE, skin=skin)
    moved = np.abs(head(face) - head(CHANGES[change](face))).max(axis=-1) > 24
    assert moved.mean() >= LEAST[change]


def test_skins_are_told_apart_by_most_of_a_bald_head() -> None:
    for skin in FULL.skins:
        picture = draw_face(replace(FACE, skin=skin, hair="bald"), 32, random.Random(5))
        solid = np.asarray(picture.getchannel("A")) > 200
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)[solid]
        gaps = {name: np.abs(pixels - np.asarray(rgb)).max(axis=-1) for name, rgb in SKINS.items()}
        shares = {name: float((gap < 24).mean()) for name, gap in gaps.items()}
        assert max(shares, key=lambda name: shares[name]) == skin
        assert shares[skin] > 0.3


def test_a_turn_moves_the_features_and_leaves_the_size() -> None:
    assert np.abs(head(FACE, turn=1.0) - head(FACE, turn=-1.0)).mean() > 2
    assert draw_face(FACE, 80, random.Random(0), turn=0.5).height == 80


def test_a_bust_is_mostly_head_and_a_whole_figure_mostly_body() -> None:
    shares = {}
    for framing in ("bust", "whole"):
        face = painted(replace(PERSON, face=replace(FACE, hair="bald"), framing=framing)).face
        box = face.getbbox()
        assert box is not None
        shares[framing] = (box[3] - box[1]) / face.height
    assert 0.5 < shares["bust"] < 0.68
    assert 0.22 < shares["whole"] < 0.33


def test_poses_are_told_apart_by_the_outline() -> None:
    outlines = [
        np.asarray(painted(replace(PERSON, pose=pose)).picture.getchannel("A").resize((32, 48))) > 127
        for pose in FULL.poses
    ]
    for index, one in enumerate(outlines):
        for other in outlines[:index]:
            assert (one != other).mean() > 0.05


@pytest.mark.parametrize(
    ("person", "named"),
    [
        (replace(PERSON, pose="sleeping"), "pose"),
        (replace(PERSON, framing="close"), "framing"),
        (replace(PERSON, garment=replace(TEE, kind="kilt")), "garment.kind"),
        (replace(PERSON, face=replace(FACE, hair="mohawk")), "face.hair"),
        (replace(PERSON, face=replace(FACE, skin="blue")), "face.skin"),
    ],
)
def test_an_unknown_value_is_named(person: Person, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        painted(person)

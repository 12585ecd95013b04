"""The plugin keeps what plugins promise, and its score tells colours apart."""

import dreamline_logo
import pytest
from PIL import Image as Pillow

from dreamline import Image, Request
from dreamline.conformance import CHECKS, check_plugin


@pytest.mark.parametrize("check", CHECKS)
def test_the_plugin_keeps_its_promises(check: str) -> None:
    check_plugin(dreamline_logo, check, options={"colour": "#e4002b"})


def test_the_nearer_the_colour_the_lower_the_score() -> None:
    request = Request("model", "a cap", (), 64, 64, seed=0, steps=1, guidance=1.0)
    far, near, there = (
        dreamline_logo.distance(Image(Pillow.new("RGB", (64, 64), colour), request), "#e4002b")
        for colour in ("navy", "firebrick", "#e4002b")
    )
    assert far > near > there == 0

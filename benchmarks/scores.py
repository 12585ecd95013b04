"""What scores of an image cost: `python -m benchmarks.scores`.

Processor time in one thread, the median over the rounds, for an image with one reference: the scores that need no
weights one by one, and the readers of the drawn world.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Image as Picture

from core.requests import Preparation, Reference
from core.scoring.colours import true_to_colours
from core.scoring.hashes import copied
from core.scoring.people import UPRIGHT
from core.scoring.references import Shown
from core.scoring.whole import glance, whole
from core.settings import Settings


def busy(side: int) -> Picture:
    """A picture with edges, gradients and grain."""
    grain = Image.effect_noise((side, side), 60)
    shade = Image.linear_gradient("L").resize((side, side))
    return Image.merge("RGB", (grain, shade, grain.filter(ImageFilter.GaussianBlur(side / 50))))


def product() -> Preparation:
    """Discs of three colours on white, with their mask, 512 pixels wide."""
    picture, mask = Image.new("RGB", (512, 512), "white"), Image.new("L", (512, 512))
    for colour, edge in (("#e4002b", 40), ("#0033a0", 120), ("#ffcc00", 200)):
        box = (edge, edge, 512 - edge, 512 - edge)
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        ImageDraw.Draw(mask).ellipse(box, fill=255)
    return Preparation(picture, mask)


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median processor time of `work`, after a first time that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1000 * statistics.median(times)


def measures(side: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured, by name."""
    from core.preparation.faces import find_faces

    image, about = busy(side), Shown(Reference("it", "subject", "0" * 64), product())
    seen = glance(image)
    yield "the glance at 512 pixels", lambda: glance(image)
    yield "sharpness, blankness, contrast", lambda: whole(seen)
    yield "colour:NAME", lambda: true_to_colours(seen, about)
    yield "copy:NAME", lambda: copied(seen, about)
    yield "all of these", lambda: (whole(glance(image)), copied(seen, about), true_to_colours(seen, about))
    yield "faces by cascades", lambda: find_faces(image, tilts=UPRIGHT)


def readers(side: int) -> Callable[[], object] | None:
    """The readers' scores of a small image; None without torch."""
    from core.scoring.worlds import by_readers, readers_of

    if readers_of("small") is None:
        return None
    import torch

    torch.set_num_threads(1)
    image, about = busy(side), Shown(Reference("it", "subject", "0" * 64), product())
    return lambda: list(by_readers(image, [about], "a mug on the beach", "dreamo-mini", Settings()))


def main() -> None:
    """Prints one line a measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="of the image, in pixels")
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    for name, work in measures(asked.side):
        print(f"{name:32} {milliseconds(work, asked.rounds):7.1f} ms of {asked.side} x {asked.side}")
    if (reading := readers(128)) is not None:
        print(f"{'kept:NAME, place':32} {milliseconds(reading, asked.rounds):7.1f} ms of 128 x 128")


if __name__ == "__main__":
    main()

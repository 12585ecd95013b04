"""A generator of small pictures that does to itself what the prompt says, a number of times.

`do crash 2` in a prompt ends the process in the first two tries of that image; each try leaves a mark in the
folder FAULTS_MARKS, so that the tests know what was done.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dreamline import BadInput, Image, OutOfMemory, Score, hookimpl

ORDER = re.compile(r"do (\w+) (\d+)")


class Trouble:
    """`seconds` is what one image takes, `marks` the folder where each misdeed is written down."""

    id = "trouble/1"

    def __init__(self, seconds: float, marks: Path) -> None:
        self._seconds = seconds
        self._marks = marks

    def generate(self, requests: Sequence[Any], references: Any, on_step: Any = None) -> Iterator[Image]:
        import numpy as np
        from PIL import Image as Pillow

        for request in requests:
            word = self._due(request)
            if word == "skip":
                continue
            if word:
                misbehave(word, len(requests))
            for step in range(1, request.steps + 1):
                time.sleep(self._seconds / request.steps)
                if on_step is not None:
                    on_step(step, request.steps)
            dice = np.random.default_rng([request.seed, *request.prompt.encode()])
            pixels = dice.integers(0, 256, (request.height, request.width, 3), dtype=np.uint8)
            facts = {"nan": float("nan"), "nul": "a\0b", "half": "\udce9"} if word == "nan" else {}
            yield Image(Pillow.fromarray(pixels), request, {"generator": self.id, **facts})

    def _due(self, request: Any) -> str:
        """The misdeed that this try of the image owes, if any; it is marked as done."""
        found = ORDER.search(request.prompt)
        if found is None or found[1] == "plain":
            return ""
        word, times = found[1], int(found[2])
        for number in range(times):
            try:
                (self._marks / f"{word}-{hash_of(request.prompt)}-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return word
        return ""


def hash_of(text: str) -> int:
    """The same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def misbehave(word: str, together: int) -> None:
    if word == "crash":
        os._exit(7)
    if word == "hang":
        time.sleep(1000)
    if word == "memory":
        raise OutOfMemory(f"{together} do not fit")
    if word == "eat":
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1 << 20) * 32))
            time.sleep(0.02)
    if word == "raise":
        raise ValueError("nobody expected this")
    if word == "bad":
        raise BadInput.at("prompt", "says bad", "Say something else")


@hookimpl
def make_generator(card: Any, settings: Any) -> Trouble | None:
    if card.generator != "trouble":
        return None
    return Trouble(settings.fake_seconds, Path(os.environ.get("FAULTS_MARKS", "/nowhere")))


@hookimpl
def score_image(image: Image, request: Any) -> Sequence[Score]:
    found = ORDER.search(request.prompt)
    if found is not None and found[1] == "nan":
        return [Score("not-a-number", float("nan"), "nothing")]
    return []

"""Delivering: what keeps texts legible on any picture: a soft scrim, as strong as their contrast asks, no more.

Contrast and luminance are those of WCAG 2.2. Dark scrims have the picture's own hue, light ones are white. A
scrim is even behind the texts, so that what holds for one pixel there holds for all, and fades away from them,
save towards an edge of the picture that is near: there it goes on, as a shadow would. A logo has its halo only
where it would be lost. `behind` and `shown` are colours of 8 bits, (pixels, 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, pixels; the last two are just outside, as Pillow counts."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (17, 17, 17)
TEXT, LOGO = 4.6, 2.2
"""Contrasts to reach: texts ask for 4.5 and get a little more, for what compression takes. WCAG asks nothing of
logos; this much shows their shape, and more would cost the picture too much."""

FAVOUR = 0.06
"""How much more of the picture white letters may change than black ones (`change`): on middle tones WCAG's
formula calls black letters legible that people find hard to read."""

SEEN, INKS = 0.9, 500
"""The share of spots behind a logo in which it has to be seen; how many of its pixels are asked."""

MOST_FOR_A_LOGO = 140
"""Strength beyond which a scrim spoils more than a pale logo does."""

NEAR, NEAR_ABOVE = 0.5, 0.12
"""How near an edge is, in units, for a scrim to go on to it: any edge, and the upper one."""

HALO = 0.08
"""How far a logo's halo reaches before it fades, of the logo's height."""

WEIGHTS = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, slots=True)
class Scrim:
    """A veil of one colour, `strength` of 255 where it is even; `ink` is legible on it, `paper` on that ink."""

    ink: Colour
    paper: Colour
    veil: Colour
    strength: int


def shade_for_text(picture: Picture, zones: list[Box], unit: float) -> tuple[Picture, Scrim]:
    """A new picture, RGB, on which text in the scrim's ink is legible in all zones; `unit` as in `cast`."""
    import numpy as np

    pixels = np.asarray(picture)
    cuts = [pixels[max(0, top) : bottom, max(0, left) : right] for left, top, right, bottom in zones]
    scrim = scrim_for_text(np.concatenate([cut.reshape(-1, 3) for cut in cuts]))
    starts, ends = [zone[:2] for zone in zones], [zone[2:] for zone in zones]
    (left, top), (right, bottom) = map(min, zip(*starts, strict=True)), map(max, zip(*ends, strict=True))
    return cast(picture, scrim, (left, top, right, bottom), unit), scrim


def shade_for_logo(picture: Picture, logo: Picture, corner: tuple[int, int]) -> Picture:
    """A new picture, RGB, with a halo where a logo, RGBA, would be lost; one without transparency never is."""
    import numpy as np
    from PIL import Image, ImageFilter

    shaded, pixels = picture.copy(), np.asarray(logo).reshape(-1, 4)
    shown = pixels[pixels[:, 3] > 127, :3]
    if len(shown) in (0, len(pixels)):
        return shaded
    spots = picture.crop((*corner, corner[0] + logo.width, corner[1] + logo.height))
    behind = np.asarray(spots.reduce(max(1, min(logo.size) // 8))).reshape(-1, 3)
    scrim = scrim_for_logo(behind, shown)
    if scrim is None:
        return shaded
    reach = max(1, round(HALO * logo.height))
    left, top, edge = corner[0] - 8 * reach, corner[1] - 8 * reach, 16 * reach
    shape = Image.new("L", (logo.width + edge, logo.height + edge))
    shape.paste(logo.getchannel("A"), (8 * reach, 8 * reach))
    halo = shape.filter(ImageFilter.MaxFilter(2 * reach + 1)).filter(ImageFilter.GaussianBlur(2 * reach))
    shaded.paste(scrim.veil, (left, top), halo.point([level * scrim.strength // 255 for level in range(256)]))
    return shaded


def scrim_for_text(behind: NDArray[Any]) -> Scrim:
    """The ink whose scrim changes the picture less, with that scrim."""
    dark = dark_veil(behind)
    white = Scrim(WHITE, BLACK, dark, needed(behind, dark, float(luminance(WHITE)), TEXT))
    black = Scrim(BLACK, WHITE, WHITE, needed(behind, WHITE, float(luminance(BLACK)), TEXT))
    return white if change(behind, white) <= change(behind, black) + FAVOUR else black


def scrim_for_logo(behind: NDArray[Any], shown: NDArray[Any]) -> Scrim | None:
    """What a logo of the colours `shown` needs; None where half of them can be seen in nearly every spot."""
    import numpy as np

    inks = luminance(shown)
    some = inks[:: max(1, len(inks) // INKS)]
    seen = np.median(ratio(some[:, None], luminance(behind)[None, :]), axis=0) >= LOGO
    if seen.mean() >= SEEN:
        return None
    ink, dark = float(np.median(inks)), dark_veil(behind)
    scrims = (
        Scrim(WHITE, BLACK, dark, needed(behind, dark, ink, LOGO)),
        Scrim(BLACK, WHITE, WHITE, needed(behind, WHITE, ink, LOGO)),
    )
    least = min(scrims, key=lambda scrim: (scrim.strength > 255, change(behind, scrim)))
    return replace(least, strength=min(least.strength, MOST_FOR_A_LOGO))


def luminance(colours: Any) -> NDArray[Any]:
    """Relative luminance, 0 to 1, of colours of 8 bits whose last axis is RGB."""
    import numpy as np

    weighed: NDArray[Any] = linear(np.asarray(colours)) @ np.array(WEIGHTS)
    return weighed


def linear(values: NDArray[Any]) -> NDArray[Any]:
    """Light, 0 to 1, of sRGB values, 0 to 255."""
    import numpy as np

    scaled = values / 255
    return np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)


def ratio(one: Any, other: Any) -> Any:
    """Contrast of luminances, 1 to 21, element by element."""
    import numpy as np

    return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


def dark_veil(behind: NDArray[Any]) -> Colour:
    """Nearly black, in the mean hue of what it covers: pure black looks like soot on a photograph."""
    red, green, blue = (round(float(mean) * 0.15) for mean in behind.mean(axis=0))
    return red, green, blue


def needed(behind: NDArray[Any], veil: Colour, ink: float, contrast: float) -> int:
    """The least strength at which every pixel contrasts with an ink of that luminance; 256 where none is enough.

    Bisection holds: where a veil is enough a stronger one is, for luminance is convex on the way to a dark
    veil, and only grows on the way to white.
    """
    darker = float(luminance(veil)) < ink
    low, high = 0, 256
    while low < high:
        middle = (low + high) // 2
        seen = veiled(behind, veil, middle)
        worst = float(seen.max() if darker else seen.min())
        enough = (worst < ink) == darker and ratio(worst, ink) >= contrast
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def veiled(behind: NDArray[Any], veil: Colour, strength: int) -> NDArray[Any]:
    """Luminance (pixels) under a veil; by tables, rounded to 8 bits as `PIL.Image.composite` does."""
    import numpy as np

    total = np.zeros(len(behind))
    for channel, weight in enumerate(WEIGHTS):
        mixed = (np.arange(256) * (255 - strength) + veil[channel] * strength + 127) // 255
        total += (weight * linear(mixed))[behind[:, channel]]
    return total


def change(behind: NDArray[Any], scrim: Scrim) -> float:
    """How far a scrim moves the picture on the mean, 0 to 1: a white veil costs a white wall nothing."""
    import numpy as np

    return scrim.strength / 255 * float(np.abs(behind - np.array(scrim.veil, float)).mean()) / 255


def cast(picture: Picture, scrim: Scrim, box: Box, unit: float) -> Picture:
    """A new picture, veiled: evenly inside `box`, less and less away from it; `unit` is the picture's, pixels."""
    import numpy as np
    from PIL import Image

    left, top, right, bottom = box
    fade = min(max(bottom - top, 0.16 * unit), 0.25 * unit)
    across = profile(picture.width, (left, right), 2 * fade, (NEAR * unit, NEAR * unit))
    down = profile(picture.height, (top, bottom), fade, (NEAR_ABOVE * unit, NEAR * unit))
    strengths = np.rint(np.outer(down, across * scrim.strength)).astype(np.uint8)
    return Image.composite(Image.new("RGB", picture.size, scrim.veil), picture, Image.fromarray(strengths))


def profile(length: int, inside: tuple[int, int], fade: float, near: tuple[float, float]) -> NDArray[Any]:
    """Strength along one axis, 0 to 1: 1 inside, gone `fade` pixels away, but 1 up to an edge that is `near`."""
    import numpy as np

    place = np.arange(length, dtype=np.float32)
    before = (inside[0] - place) * (inside[0] > near[0])
    after = (place - inside[1] + 1) * (length - inside[1] > near[1])
    left = 1 - np.clip(np.maximum(before, after) / fade, 0, 1)
    return left * left * (3 - 2 * left)

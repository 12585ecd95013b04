"""Curves as a picture, drawn with Pillow: one panel for each quantity, one colour for each series.

Everything is drawn at twice its size and reduced at the end, which smooths every line and letter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]
Box = tuple[int, int, int, int]

SCALE = 2
WIDTH, HEIGHT, COLUMNS = 520, 330, 2
LEFT, RIGHT, TOP, BOTTOM = 64, 18, 34, 44
LEGEND = 34
INK, FAINT, PAPER = "#333333", "#e6e6e6", "#ffffff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart by people who confuse red and green (Okabe and Ito 2008)."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One panel.

    Attributes:
        title: the quantity.
        across: what the horizontal axis counts.
        series: points (x, y) by name, x growing.
    """

    title: str
    across: str
    series: Mapping[str, Points]


@dataclass(frozen=True, slots=True)
class Axes:
    """Where values lie in a box of pixels."""

    box: Box
    across: tuple[float, float]
    up: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a value; what lies above or below stays at the edge."""
        left, top, right, bottom = self.box
        share_x = (x - self.across[0]) / (self.across[1] - self.across[0])
        share_y = (min(max(y, self.up[0]), self.up[1]) - self.up[0]) / (self.up[1] - self.up[0])
        return left + share_x * (right - left), bottom - share_y * (bottom - top)


def ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Round numbers within [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= raw * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float) -> str:
    """Short: `0`, `0.25`, `40k`, `1.5M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def smoothed(points: Points) -> list[tuple[float, float]]:
    """Means over a window of about a thirtieth of the points, centred, shorter at the ends."""
    reach = len(points) // 60
    values = [y for _, y in points]
    found = []
    for k, (x, _) in enumerate(points):
        near = min(reach, k, len(points) - 1 - k)
        window = values[k - near : k + near + 1]
        found.append((x, sum(window) / len(window)))
    return found


def limits(series: Mapping[str, Points]) -> tuple[float, float]:
    """Of the vertical axis: all but the outermost fiftieth of the values, with room around them."""
    values = sorted(y for points in series.values() for _, y in points if math.isfinite(y))
    if not values:
        return 0.0, 1.0
    cut = len(values) // 50
    low, high = values[cut], values[-1 - cut]
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return max(0.0, low - room) if low >= 0 else low - room, high + room


def draw_plots(plots: Sequence[Plot]) -> Image.Image:
    """All panels on one sheet, RGB, with a legend above them."""
    columns = min(COLUMNS, max(1, len(plots)))
    rows = math.ceil(len(plots) / columns)
    size = (SCALE * WIDTH * columns, SCALE * (LEGEND + HEIGHT * rows))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    names = dict.fromkeys(name for plot in plots for name in plot.series)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    _draw_legend(draw, colours)
    for number, plot in enumerate(plots):
        corner = (WIDTH * (number % columns), LEGEND + HEIGHT * (number // columns))
        _draw_plot(draw, plot, corner, colours)
    return sheet.resize((size[0] // SCALE, size[1] // SCALE), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


def _draw_legend(draw: ImageDraw.ImageDraw, colours: Mapping[str, str]) -> None:
    x, middle, font = LEFT * SCALE, SCALE * LEGEND * 0.6, _font(13)
    for name, colour in colours.items():
        draw.line((x, middle, x + 22 * SCALE, middle), fill=colour, width=3 * SCALE)
        draw.text((x + 28 * SCALE, middle), name, fill=INK, font=font, anchor="lm")
        x += int(52 * SCALE + draw.textlength(name, font=font))


def _draw_plot(draw: ImageDraw.ImageDraw, plot: Plot, corner: tuple[int, int], colours: Mapping[str, str]) -> None:
    box = (
        SCALE * (corner[0] + LEFT),
        SCALE * (corner[1] + TOP),
        SCALE * (corner[0] + WIDTH - RIGHT),
        SCALE * (corner[1] + HEIGHT - BOTTOM),
    )
    ends = [x for points in plot.series.values() for x, _ in points]
    across = (0.0, max(ends, default=0.0) or 1.0)
    smooth = {name: smoothed(points) for name, points in plot.series.items()}
    axes = Axes(box, across, limits(plot.series))
    _draw_axes(draw, plot, axes)
    for name, points in plot.series.items():
        raw, means = [axes.at(*point) for point in points], [axes.at(*point) for point in smooth[name]]
        if len(raw) == 1:
            x, y = raw[0]
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colours[name])
            continue
        draw.line(raw, fill=_paler(colours[name]), width=SCALE)
        draw.line(means, fill=colours[name], width=2 * SCALE, joint="curve")


def _draw_axes(draw: ImageDraw.ImageDraw, plot: Plot, axes: Axes) -> None:
    left, top, right, bottom = axes.box
    small, gap = _font(11), 5 * SCALE
    for value in ticks(*axes.up):
        _, y = axes.at(axes.across[0], value)
        draw.line((left, y, right, y), fill=FAINT, width=SCALE)
        draw.text((left - gap, y), label(value), fill=INK, font=small, anchor="rm")
    for value in ticks(*axes.across):
        x, _ = axes.at(value, axes.up[0])
        draw.line((x, bottom, x, bottom + gap), fill=INK, width=SCALE)
        draw.text((x, bottom + 2 * gap), label(value), fill=INK, font=small, anchor="mt")
    draw.line((left, top, left, bottom, right, bottom), fill=INK, width=SCALE)
    draw.text((left, top - 2 * gap), plot.title, fill=INK, font=_font(14), anchor="ls")
    draw.text((right, bottom + 5 * gap), plot.across, fill=INK, font=small, anchor="rt")


def _paler(colour: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return (red + 3 * 255) // 4, (green + 3 * 255) // 4, (blue + 3 * 255) // 4

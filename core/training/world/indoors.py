"""The places of the drawn world that have walls.

The hour shows in the window, in the light on the wall, and at night in a lamp. What tells a place stands in its
outer thirds; the middle is left to the thing shown.
"""

from __future__ import annotations

from core.training.world.backdrop import Backdrop, Colour
from core.training.world.outdoors import LAMP, MOON, SKIES, STAR


def paint_window(view: Backdrop, left: float, top: float, right: float, bottom: float, frame: Colour) -> None:
    """A window with a cross of bars; beyond it is the sky of the hour."""
    view.box(left - 0.015, top - 0.015, right + 0.015, bottom + 0.015, frame)
    high, low, line = SKIES[view.time]
    step = (bottom - top) / 3
    for count, colour in enumerate((high, low, line)):
        view.box(left, top + count * step, right, top + (count + 1) * step, colour, glowing=True)
    x, y = left + (right - left) * 0.68, top + (bottom - top) * 0.3
    if view.time == "night":
        view.disc(x, y, 0.04, MOON, glowing=True)
        for across, down in ((0.2, 0.2), (0.3, 0.7), (0.75, 0.75)):
            view.disc(left + (right - left) * across, top + (bottom - top) * down, 0.01, STAR, glowing=True)
    elif view.time == "sunset":
        view.disc(x, bottom - step * 0.7, 0.06, (255, 236, 160), glowing=True)
    else:
        view.oval(left + 0.01, top + step, left + (right - left) * 0.7, top + step * 1.7, (252, 253, 255))
    middle = (left + right) / 2
    view.box(middle - 0.008, top, middle + 0.008, bottom, frame)
    view.box(left, (top + bottom) / 2 - 0.008, right, (top + bottom) / 2 + 0.008, frame)


def paint_lamp(view: Backdrop, x: float, y: float, shade: Colour) -> None:
    """A hanging lamp; after dark it shines."""
    wide, high = view.reach(1.0)
    view.box(x - 0.004, 0, x + 0.004, y, (70, 70, 76))
    if view.time == "night":
        view.glow(x, y + 0.06, 0.5, LAMP, 0.8)
    bright = view.time == "night"
    view.disc(x, y + 0.05 * high, 0.034, (255, 246, 200), glowing=bright)
    view.shape(
        (
            (x - 0.035 * wide, y - 0.05 * high),
            (x + 0.035 * wide, y - 0.05 * high),
            (x + 0.085 * wide, y + 0.045 * high),
            (x - 0.085 * wide, y + 0.045 * high),
        ),
        shade,
        glowing=bright,
    )


def paint_kitchen(view: Backdrop) -> None:
    """Pale tiles, a window and a cupboard, a lamp, and a wooden counter."""
    view.fade(0, 0.72, ((226, 240, 236), (204, 228, 224)))
    for row in range(9):
        view.box(0, row * 0.085, 1, row * 0.085 + 0.01, (164, 200, 196))
    across = view.reach(0.1)[0]
    for column in range(int(1 / across) + 1):
        view.box(column * across, 0, column * across + 0.1 * across, 0.72, (164, 200, 196))
    left = view.side()
    window, cupboard = ((0.05, 0.29), (0.7, 1.0)) if left else ((0.71, 0.95), (0.0, 0.3))
    paint_window(view, window[0], 0.16, window[1], 0.5, (250, 250, 246))
    view.box(cupboard[0], 0, cupboard[1], 0.34, (62, 142, 140))
    middle = (cupboard[0] + cupboard[1]) / 2
    view.box(middle - 0.006, 0, middle + 0.006, 0.34, (40, 108, 108))
    for knob in (middle - 0.035, middle + 0.035):
        view.disc(knob, 0.27, 0.018, (246, 214, 120))
    paint_lamp(view, 0.5 + view.between(-0.1, 0.1), 0.12, (236, 112, 72))
    for count, jar in enumerate(((230, 90, 70), (250, 200, 80))):
        x = cupboard[0] + 0.05 + count * 0.11 + view.between(0, 0.03)
        view.box(x, 0.57, x + 0.08, 0.69, jar)
        view.box(x + 0.01, 0.55, x + 0.07, 0.575, (120, 84, 56))
    view.fade(0.69, 1, ((214, 158, 102), (182, 122, 74)))
    view.box(0, 0.69, 1, 0.715, (240, 194, 140))


def paint_studio(view: Backdrop) -> None:
    """A seamless lilac backdrop with a spot light on it, between two soft boxes."""
    stops: dict[str, tuple[Colour, ...]] = {
        "day": ((176, 152, 232), (206, 186, 246), (226, 210, 250), (188, 164, 234)),
        "night": ((22, 16, 56), (42, 30, 92), (66, 46, 124), (34, 24, 78)),
        "sunset": ((214, 96, 120), (244, 132, 116), (255, 172, 124), (226, 112, 104)),
    }
    view.fade(0, 1, stops[view.time], glowing=True)
    light: Colour = {"day": (255, 252, 255), "night": (255, 214, 140), "sunset": (255, 226, 160)}[view.time]
    x = 0.5 + view.between(-0.06, 0.06)
    view.glow(x, view.between(0.4, 0.5), 0.6, light, 0.7)
    view.glow(x, 0.95, 0.5, light, 0.5)
    top = view.between(0.14, 0.22)
    for near, far in ((0.0, 0.2), (1.0, 0.8)):
        way = 1 if near < far else -1
        foot = (near + far) / 2 - way * 0.02
        view.shape(
            ((foot - 0.012, 0.4), (foot + 0.012, 0.4), (foot + 0.012, 0.86), (foot - 0.012, 0.86)), (44, 42, 56)
        )
        view.shape(((foot, 0.76), (foot + 0.09, 0.88), (foot - 0.09, 0.88), (foot, 0.8)), (44, 42, 56))
        view.shape(((near, top), (far, top + 0.05), (far, top + 0.27), (near, top + 0.32)), (44, 42, 56))
        view.shape(
            (
                (near, top + 0.03),
                (far - way * 0.02, top + 0.07),
                (far - way * 0.02, top + 0.25),
                (near, top + 0.29),
            ),
            (255, 250, 232) if view.time == "day" else (255, 232, 164),
            glowing=True,
        )


def paint_living_room(view: Backdrop) -> None:
    """A warm wall with a picture and a window, a sofa behind, a floor lamp, and a rug on boards."""
    view.fade(0, 0.7, ((250, 222, 178), (242, 206, 158)))
    left = view.side()
    window, lamp, frame = ((0.05, 0.28), 0.87, (0.68, 0.94)) if left else ((0.72, 0.95), 0.13, (0.06, 0.32))
    paint_window(view, window[0], 0.1, window[1], 0.44, (252, 250, 244))
    for edge in (window[0] - 0.05, window[1]):
        view.box(edge, 0.06, edge + 0.05, 0.56, (196, 74, 74))
    view.box(frame[0], 0.04, frame[1], 0.2, (120, 76, 48))
    view.box(frame[0] + 0.02, 0.06, frame[1] - 0.02, 0.18, (246, 240, 226))
    view.disc((frame[0] + frame[1]) / 2 + view.between(-0.04, 0.04), 0.12, 0.04, (230, 110, 80))
    if view.time == "night":
        view.glow(lamp, 0.34, 0.56, LAMP, 0.85)
    view.box(lamp - 0.008, 0.38, lamp + 0.008, 0.74, (80, 60, 48))
    wide = view.reach(1.0)[0]
    view.shape(
        (
            (lamp - 0.06 * wide, 0.26),
            (lamp + 0.06 * wide, 0.26),
            (lamp + 0.11 * wide, 0.4),
            (lamp - 0.11 * wide, 0.4),
        ),
        (255, 236, 178),
        glowing=view.time == "night",
    )
    view.fade(0.7, 1, ((176, 112, 70), (146, 88, 54)))
    sofa = (36, 128, 136)
    view.box(0.0, 0.5, 1.0, 0.74, sofa)
    view.box(0.08, 0.62, 0.92, 0.72, (64, 160, 164))
    for arm in (-0.04, 0.9):
        view.box(arm, 0.56, arm + 0.14, 0.78, (26, 104, 114))
    view.oval(-0.1, 0.8, 1.1, 1.06, (232, 206, 178))
    view.oval(0.0, 0.83, 1.0, 1.03, (206, 92, 82))


def paint_office(view: Backdrop) -> None:
    """A cool wall, a wide window with blinds, shelves of folders, a screen, and a white desk."""
    view.fade(0, 0.74, ((190, 204, 220), (170, 186, 206)))
    left = view.side()
    window, shelf = ((0.03, 0.3), (0.7, 1.0)) if left else ((0.7, 0.97), (0.0, 0.3))
    paint_window(view, window[0], 0.06, window[1], 0.4, (238, 242, 246))
    for blind in range(4):
        view.box(window[0], 0.07 + blind * 0.05, window[1], 0.09 + blind * 0.05, (226, 232, 238))
    view.box(0.36, 0.02, 0.64, 0.055, (250, 250, 240), glowing=view.time == "night")
    view.box(shelf[0], 0.04, shelf[1], 0.64, (84, 92, 108))
    folders: tuple[Colour, ...] = ((220, 74, 66), (60, 126, 200), (246, 190, 70), (70, 160, 110))
    turn = view.random.randrange(4)
    for row in range(3):
        for column in range(4):
            x, y = shelf[0] + 0.02 + column * 0.067, 0.065 + row * 0.195
            view.box(x, y + view.between(0, 0.04), x + 0.056, y + 0.16, folders[(turn + row + column) % 4])
    screen = (window[0] + window[1]) / 2
    view.box(screen - 0.02, 0.6, screen + 0.02, 0.76, (60, 64, 76))
    view.box(screen - 0.14, 0.46, screen + 0.14, 0.67, (42, 46, 58))
    view.box(screen - 0.12, 0.48, screen + 0.12, 0.65, (96, 186, 236), glowing=view.time == "night")
    if view.time == "night":
        view.glow(0.5, 0.06, 0.6, LAMP, 0.7)
        view.glow(screen, 0.56, 0.26, (120, 200, 250), 0.4)
    view.fade(0.73, 1, ((240, 242, 244), (212, 218, 226)))
    view.box(0, 0.73, 1, 0.75, (252, 252, 252))

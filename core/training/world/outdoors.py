"""The places of the drawn world that lie under the sky.

What tells a place stands in its outer thirds, its sky and its ground; the middle is left to the thing shown.
"""

from __future__ import annotations

from core.training.world.backdrop import Backdrop, Colour

SKIES: dict[str, tuple[Colour, Colour, Colour]] = {
    "day": ((74, 158, 232), (134, 198, 246), (208, 234, 250)),
    "night": ((8, 12, 44), (22, 30, 84), (54, 64, 130)),
    "sunset": ((118, 74, 150), (240, 110, 118), (255, 186, 96)),
}
STAR, MOON, SUN, LAMP = (236, 238, 255), (250, 244, 206), (255, 226, 96), (255, 214, 110)


def paint_sky(view: Backdrop, horizon: float, *, low_sun: bool = True) -> None:
    """Sky down to `horizon`, with what the hour has in it: sun and clouds, moon and stars, or a low red sun."""
    view.fade(0, horizon + 0.02, SKIES[view.time], glowing=True)
    side = 0.14 if view.side() else 0.86
    x = side + view.between(-0.04, 0.04)
    if view.time == "night":
        for spot in range(9):
            view.disc((spot + view.between(0.2, 0.8)) / 9, view.between(0.02, 0.3), 0.011, STAR, glowing=True)
        view.glow(x, 0.14, 0.24, (110, 120, 190), 0.4)
        view.disc(x, 0.14, 0.085, MOON, glowing=True)
        across, down = view.reach(0.035)
        view.disc(x + across, 0.14 - down, 0.07, (46, 54, 112), glowing=True)
        return
    y = 0.14 if view.time == "day" else (horizon - 0.09 if low_sun else 0.2)
    sun = SUN if view.time == "day" else (255, 240, 170)
    view.glow(x, y, 0.34, (255, 240, 190), 0.7)
    view.disc(x, y, 0.075 if view.time == "day" else 0.11, sun, glowing=True)
    cloud: Colour = (252, 253, 255) if view.time == "day" else (255, 168, 150)
    for middle in (1 - side, view.between(0.38, 0.62)):
        paint_cloud(view, middle + view.between(-0.06, 0.06), view.between(0.1, 0.2), cloud)


def paint_cloud(view: Backdrop, x: float, y: float, colour: Colour) -> None:
    size = view.between(0.8, 1.2)
    for across, up, radius in ((-0.08, 0, 0.04), (0.0, 0.02, 0.06), (0.08, 0, 0.045)):
        wide, high = view.reach(size)
        view.disc(x + across * wide, y - up * high, radius * size, colour, glowing=True)
    wide, high = view.reach(size)
    view.box(x - 0.09 * wide, y, x + 0.09 * wide, y + 0.042 * high, colour, glowing=True)


def paint_beach(view: Backdrop) -> None:
    """Sand, a turquoise sea and a palm at one side."""
    horizon = view.between(0.42, 0.48)
    paint_sky(view, horizon)
    view.fade(horizon, 0.78, ((34, 126, 200), (48, 190, 206), (130, 226, 214)))
    if view.time != "day":
        view.box(0, horizon, 1, horizon + 0.015, SKIES[view.time][2], glowing=True)
    tilt = view.between(-0.03, 0.03)
    view.shape(((0, 0.69 + tilt), (0.5, 0.72), (1, 0.69 - tilt), (1, 1), (0, 1)), (250, 252, 250))
    view.shape(((0, 0.72 + tilt), (0.5, 0.745), (1, 0.72 - tilt), (1, 1), (0, 1)), (246, 216, 150))
    view.shape(((0, 0.93), (0.5, 0.9), (1, 0.95), (1, 1), (0, 1)), (236, 198, 126))
    paint_palm(view, 1 if view.side() else -1)


def paint_palm(view: Backdrop, lean: int) -> None:
    """A palm that grows from the left edge (`lean` 1) or from the right edge (-1)."""
    foot = 0.5 - lean * view.between(0.42, 0.46)
    top, crown = foot + lean * 0.11, view.between(0.24, 0.3)
    view.shape(
        (
            *((foot - 0.025, 0.84), (foot + 0.03, 0.84), (foot + lean * 0.06 + 0.02, 0.5), (top + 0.015, crown)),
            *((top - 0.015, crown), (foot + lean * 0.06 - 0.02, 0.5)),
        ),
        (142, 94, 56),
    )
    wide, high = view.reach(1.0)
    for green, ends in (
        ((26, 118, 62), ((-0.27, 0.02), (0.27, 0.02), (-0.08, -0.16), (0.1, -0.16))),
        ((48, 160, 80), ((-0.22, 0.15), (0.22, 0.15), (-0.22, -0.1), (0.22, -0.1))),
    ):
        for across, down in ends:
            tip, middle = (top + across * wide, crown + down * high), (top + across * wide * 0.55, crown)
            rise, sink = (down * 0.5 - 0.075) * high, (down * 0.5 - 0.01) * high
            view.shape(((top, crown), (middle[0], crown + rise), tip, (middle[0], crown + sink)), green)
    view.disc(top, crown + 0.02 * high, 0.025, (104, 66, 40))


def paint_city(view: Backdrop) -> None:
    """A skyline whose windows are lit at night, and a street."""
    paint_sky(view, 0.7, low_sun=False)
    far: Colour = {"day": (160, 186, 214), "night": (38, 44, 98), "sunset": (196, 106, 132)}[view.time]
    for block in range(9):
        view.box(block / 9, view.between(0.4, 0.55), (block + 1) / 9, 0.74, far, glowing=True)
    walls: tuple[Colour, ...] = ((98, 112, 140), (176, 108, 92), (78, 88, 118), (200, 176, 146))
    turn = view.random.randrange(4)
    for count, (left, right, low, high) in enumerate(
        ((0.17, 0.33, 0.4, 0.52), (0.67, 0.83, 0.4, 0.52), (-0.02, 0.19, 0.2, 0.36), (0.81, 1.02, 0.2, 0.36))
    ):
        paint_building(view, (left, view.between(low, high), right), walls[(count + turn) % 4])
    view.fade(0.72, 1, ((134, 138, 148), (104, 108, 120)))
    view.box(0, 0.72, 1, 0.755, (196, 198, 202))
    for dash in range(4):
        view.shape(
            ((dash / 3.4, 0.95), (dash / 3.4 + 0.16, 0.95), (dash / 3.4 + 0.14, 0.98), (dash / 3.4 - 0.02, 0.98)),
            (244, 236, 190),
        )


def paint_building(view: Backdrop, extent: tuple[float, float, float], wall: Colour) -> None:
    """A house front over (left, top, right) down to the street, with a grid of windows."""
    left, top, right = extent
    view.box(left, top, right, 0.73, wall)
    columns, step = 3, (right - left) / 3
    rows = max(int((0.69 - top) / 0.085), 1)
    for row in range(rows):
        for column in range(columns):
            x, y = left + (column + 0.25) * step, top + 0.04 + row * 0.085
            lighted = view.time == "night" and view.random.random() < 0.7
            pane = LAMP if lighted else (190, 222, 244)
            view.box(x, y, x + step * 0.55, y + 0.05, pane, glowing=lighted)


def paint_forest(view: Backdrop) -> None:
    """Firs left and right before a wall of trees, and mossy ground."""
    paint_sky(view, 0.7, low_sun=False)
    for tree in range(10):
        paint_fir(view, (tree + view.between(0.2, 0.8)) / 10, view.between(0.26, 0.36), 0.72, (78, 146, 104))
    view.fade(0.68, 1, ((74, 132, 62), (44, 96, 46)))
    for x in (0.24, 0.76):
        paint_fir(view, x + view.between(-0.03, 0.03), view.between(0.12, 0.22), 0.8, (38, 112, 70))
    for x in (0.05, 0.95):
        paint_fir(view, x + view.between(-0.03, 0.03), view.between(-0.02, 0.08), 0.9, (20, 82, 52))
    view.oval(-0.2, 0.9, 0.4, 1.2, (34, 84, 42))
    view.oval(0.6, 0.91, 1.2, 1.2, (34, 84, 42))


def paint_fir(view: Backdrop, x: float, top: float, bottom: float, green: Colour) -> None:
    """Three tiers of branches on a trunk."""
    high = bottom - top
    wide = view.reach(high * 0.3)[0]
    view.box(x - wide * 0.12, bottom - high * 0.2, x + wide * 0.12, bottom, (98, 66, 42))
    for tier, reach in ((0.0, 0.6), (0.22, 0.8), (0.46, 1.0)):
        y = top + high * tier
        view.shape(((x, y), (x + wide * reach, y + high * 0.42), (x - wide * reach, y + high * 0.42)), green)


def paint_mountains(view: Backdrop) -> None:
    """Grey-blue peaks with snow on them, behind a stony meadow."""
    paint_sky(view, 0.7, low_sun=False)
    for x in (0.35, 0.66):
        paint_peak(view, x + view.between(-0.05, 0.05), view.between(0.3, 0.4), 0.34, (146, 168, 200))
    for x in (0.1, 0.9):
        paint_peak(view, x + view.between(-0.05, 0.05), view.between(0.14, 0.26), 0.4, (94, 112, 146))
    view.fade(0.7, 1, ((150, 164, 128), (126, 130, 122)))
    view.oval(-0.3, 0.66, 0.5, 0.86, (150, 164, 128))
    for x in (0.1, 0.84):
        at = x + view.between(-0.04, 0.06)
        view.oval(at - 0.1, 0.86, at + 0.1, 0.97, (112, 116, 126))
        view.oval(at - 0.07, 0.87, at + 0.05, 0.93, (150, 154, 162))


def paint_peak(view: Backdrop, x: float, top: float, wide: float, rock: Colour) -> None:
    """A mountain with a lit and a shaded flank and a cap of snow."""
    shade = (round(rock[0] * 0.78), round(rock[1] * 0.78), round(rock[2] * 0.84))
    view.shape(((x, top), (x + wide, 0.74), (x - wide, 0.74)), rock)
    view.shape(((x, top), (x + wide, 0.74), (x + wide * 0.1, 0.74)), shade)
    cap, low = wide * 0.38, top + (0.74 - top) * 0.38
    view.shape(
        (
            (x, top),
            (x + cap, low),
            (x + cap * 0.45, low - 0.03),
            (x, low + 0.03),
            (x - cap * 0.45, low - 0.03),
            (x - cap, low),
        ),
        (250, 252, 255),
    )


def paint_desert(view: Backdrop) -> None:
    """Orange dunes with cacti under a wide sky."""
    horizon = view.between(0.54, 0.58)
    paint_sky(view, horizon)
    for left, right in ((0.0, 0.22), (0.72, 0.95)):
        top = horizon - view.between(0.12, 0.2)
        view.shape(
            ((left - 0.06, horizon + 0.04), (left, top), (right, top), (right + 0.08, horizon + 0.04)),
            (192, 92, 62),
        )
        view.shape(
            ((left - 0.01, top + 0.03), (left, top), (right, top), (right + 0.01, top + 0.03)), (222, 126, 84)
        )
    view.fade(horizon, 1, ((244, 178, 96), (222, 136, 66)))
    view.oval(-0.5, 0.64, 0.6, 1.1, (236, 160, 80))
    view.oval(0.3, 0.7, 1.5, 1.3, (226, 142, 68))
    for x in (0.13, 0.88):
        paint_cactus(view, x + view.between(-0.04, 0.04), view.between(0.38, 0.48), view.between(0.78, 0.84))


def paint_cactus(view: Backdrop, x: float, top: float, bottom: float) -> None:
    """A column with two arms."""
    green, thick, high = (46, 132, 78), view.reach(0.035)[0], bottom - top
    arm = thick * 2.6
    view.box(x - thick, top, x + thick, bottom, green)
    view.oval(x - thick, top - 0.025, x + thick, top + 0.025, green)
    for way, level in ((-1, 0.5), (1, 0.36)):
        y, end = top + high * level, x + way * arm
        view.box(min(x, end), y, max(x, end), y + 0.05, green)
        view.box(end - thick * 0.7, y - high * 0.24, end + thick * 0.7, y + 0.05, green)


def paint_garden(view: Backdrop) -> None:
    """A lawn, a white fence, round trees and flowers at both sides."""
    paint_sky(view, 0.6, low_sun=False)
    for x in (0.08, 0.92):
        at = x + view.between(-0.04, 0.04)
        view.box(at - 0.025, 0.4, at + 0.025, 0.64, (128, 86, 54))
        view.disc(at, view.between(0.3, 0.36), 0.17, (92, 176, 76))
        for across, down in ((-0.05, 0.02), (0.05, 0.07), (0.02, -0.05)):
            view.disc(at + across, 0.33 + down, 0.024, (226, 54, 60))
    view.box(0, 0.54, 1, 0.7, (74, 156, 74))
    for rail in (0.54, 0.62):
        view.box(0, rail, 1, rail + 0.025, (248, 248, 244))
    for post in range(12):
        x = (post + 0.25) / 12
        view.shape(((x, 0.5), (x + 0.022, 0.47), (x + 0.044, 0.5), (x + 0.044, 0.69), (x, 0.69)), (250, 250, 246))
    view.fade(0.69, 1, ((136, 206, 84), (98, 176, 64)))
    petals: tuple[Colour, ...] = ((240, 70, 120), (255, 206, 60), (250, 250, 250), (170, 90, 220))
    for count, (x, y) in enumerate(
        ((0.06, 0.76), (0.2, 0.82), (0.08, 0.92), (0.94, 0.76), (0.8, 0.83), (0.92, 0.92))
    ):
        at = x + view.between(-0.03, 0.03)
        view.disc(at, y, 0.042, petals[(count + view.random.randrange(2)) % 4])
        view.disc(at, y, 0.016, (250, 176, 40))


def paint_harbour(view: Backdrop) -> None:
    """Water with a sailing boat, a red and white lighthouse, and a wooden quay."""
    horizon = view.between(0.46, 0.5)
    paint_sky(view, horizon)
    view.fade(horizon, 0.8, ((40, 96, 150), (58, 124, 176)))
    tower, boat = (0.13, 0.85) if view.side() else (0.87, 0.15)
    view.oval(tower - 0.2, 0.54, tower + 0.2, 0.68, (110, 104, 104))
    for part in range(5):
        top, half = 0.2 + part * 0.078, 0.045 + part * 0.007
        view.box(tower - half, top, tower + half, top + 0.078, (214, 52, 52) if part % 2 else (248, 246, 240))
    view.box(tower - 0.035, 0.14, tower + 0.035, 0.2, LAMP, glowing=view.time != "day")
    view.shape(((tower - 0.05, 0.14), (tower, 0.08), (tower + 0.05, 0.14)), (150, 40, 44))
    if view.time == "night":
        view.glow(tower, 0.17, 0.3, LAMP, 0.75)
    deck = view.between(0.6, 0.64)
    view.box(boat - 0.006, 0.22, boat + 0.006, deck, (96, 66, 48))
    view.shape(((boat + 0.012, 0.24), (boat + 0.12, deck - 0.03), (boat + 0.012, deck - 0.03)), (252, 250, 244))
    view.shape(((boat - 0.012, 0.28), (boat - 0.1, deck - 0.03), (boat - 0.012, deck - 0.03)), (236, 226, 208))
    view.shape(
        ((boat - 0.14, deck), (boat + 0.15, deck), (boat + 0.1, deck + 0.075), (boat - 0.09, deck + 0.075)),
        (32, 66, 120),
    )
    view.fade(0.76, 1, ((166, 120, 80), (132, 90, 58)))
    for plank in (0.76, 0.82, 0.9):
        view.box(0, plank, 1, plank + 0.012, (100, 66, 42))


def paint_market(view: Backdrop) -> None:
    """A striped awning over stalls with fruit, on paving of red brick."""
    paint_sky(view, 0.66, low_sun=False)
    view.fade(0.3, 0.74, ((196, 150, 110), (214, 172, 130)))
    awning = view.between(0.2, 0.24)
    if view.time == "night":
        for x in (0.16, 0.84):
            view.glow(x, 0.36, 0.36, LAMP, 0.85)
    for stripe in range(8):
        cloth: Colour = (248, 244, 234) if stripe % 2 else (220, 58, 54)
        view.box(stripe / 8, 0.06, (stripe + 1) / 8, awning, cloth)
        view.oval(stripe / 8, awning - 0.045, (stripe + 1) / 8, awning + 0.045, cloth)
    view.fade(0.72, 1, ((176, 132, 118), (150, 104, 94)))
    fruit: tuple[Colour, ...] = ((232, 60, 50), (255, 160, 40), (120, 190, 60), (250, 216, 70))
    turn = view.random.randrange(4)
    for stall, (left, right) in enumerate(((-0.02, 0.29), (0.71, 1.02))):
        for shelf, y in enumerate((0.54, 0.7)):
            for piece in range(4):
                x = left + 0.04 + piece * 0.077
                view.disc(x, y, 0.042, fruit[(turn + stall + 2 * shelf + piece // 2) % 4])
            view.box(left, y + 0.01, right, y + 0.1, (150, 98, 56))
            view.box(left, y + 0.045, right, y + 0.06, (112, 70, 40))
    if view.time == "night":
        for x in (0.16, 0.84):
            view.disc(x, 0.34, 0.035, (255, 236, 170), glowing=True)

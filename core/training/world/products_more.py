"""Six more of the drawn world's products: teapot, chair, guitar, camera, backpack and umbrella."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.training.world.easel import BRASS, GLASS, INK, RUBBER, STEEL, WOOD, Easel, mirrored
from core.training.world.palette import darker, lighter


def _teapot(easel: Easel) -> None:
    easel.tube(easel.curve([(0.2, 0.36), (0.06, 0.3), (0.04, 0.55), (0.1, 0.72), (0.24, 0.74)]), easel.tone, 0.07)
    spout = [(0.72, 0.5), (0.84, 0.48), (0.9, 0.27), (0.97, 0.2), (1.0, 0.27), (0.93, 0.6), (0.72, 0.86)]
    easel.fill(easel.polygon(spout, [0.0, 0.1, 0.06, 0.03, 0.03, 0.15, 0.0]), easel.tone)
    half = [(0.56, 0.2), (0.72, 0.28), (0.83, 0.55), (0.77, 0.83), (0.62, 0.975)]
    easel.dress(easel.curve(mirrored((x - 0.03, y) for x, y in half), closed=True), scale=0.28)
    easel.fill(
        easel.curve([(0.3, 0.22), (0.36, 0.11), (0.5, 0.08), (0.64, 0.11), (0.7, 0.22)], closed=True), easel.tone
    )
    easel.fill(easel.disc((0.5, 0.055), 0.055), INK)
    easel.gleam(easel.curve([(0.27, 0.42), (0.3, 0.42), (0.29, 0.75), (0.25, 0.66)], closed=True))


def _chair(easel: Easel) -> None:
    for x, foot in ((0.24, 0.2), (0.76, 0.8)):
        easel.tube(easel.curve([(x, 0.62), (foot, 0.9)]), darker(WOOD, 0.35), 0.04)
    for x, foot in ((0.1, 0.05), (0.9, 0.95)):
        easel.tube(easel.curve([(x, 0.66), (foot, 0.965)]), WOOD, 0.045)
    back = [(0.12, 0.0), (0.88, 0.0), (0.84, 0.56), (0.16, 0.56)]
    easel.dress(easel.polygon(back, [0.1, 0.1, 0.03, 0.03]), scale=0.3)
    seat = [(0.12, 0.55), (0.88, 0.55), (1.0, 0.68), (1.0, 0.74), (0.0, 0.74), (0.0, 0.68)]
    easel.fill(easel.polygon(seat, 0.03), easel.tone)
    easel.stroke(easel.curve([(0.03, 0.685), (0.97, 0.685)]), lighter(easel.tone, 0.3), 0.016)


def _guitar(easel: Easel) -> None:
    for y in (0.045, 0.1):
        peg = [(0.3, y - 0.015), (0.7, y - 0.015), (0.7, y + 0.015), (0.3, y + 0.015)]
        easel.fill(easel.polygon(peg, 0.01), STEEL)
    easel.fill(easel.polygon([(0.38, 0.0), (0.62, 0.0), (0.58, 0.15), (0.42, 0.15)], 0.02), WOOD)
    half = [(0.62, 0.345), (0.86, 0.38), (0.88, 0.51), (0.83, 0.6), (0.97, 0.7), (0.96, 0.88), (0.74, 0.98)]
    easel.dress(easel.curve(mirrored(half), closed=True), period_of=0.15)
    easel.fill(easel.disc((0.5, 0.45), 0.058), INK)
    easel.fill(easel.polygon([(0.45, 0.14), (0.55, 0.14), (0.56, 0.43), (0.44, 0.43)], 0.0), darker(WOOD, 0.5))
    easel.fill(easel.polygon([(0.33, 0.905), (0.67, 0.905), (0.67, 0.94), (0.33, 0.94)], 0.01), WOOD)
    for x in (0.475, 0.525):
        easel.stroke(easel.curve([(x, 0.05), (x, 0.46)]), lighter(STEEL, 0.4), 0.006)


def _camera(easel: Easel) -> None:
    easel.fill(easel.polygon([(0.32, 0.24), (0.38, 0.0), (0.64, 0.0), (0.7, 0.24)], 0.04), RUBBER)
    easel.fill(easel.polygon([(0.08, 0.1), (0.24, 0.1), (0.24, 0.24), (0.08, 0.24)], 0.02), STEEL)
    easel.fill(easel.polygon([(0.8, 0.12), (0.93, 0.12), (0.93, 0.24), (0.8, 0.24)], 0.02), BRASS)
    easel.fill(easel.polygon([(0.5, 0.18), (1.0, 0.18), (1.0, 1.0), (0.5, 1.0)], [0.0, 0.1, 0.1, 0.0]), easel.tone)
    body = [(0.0, 0.18), (0.66, 0.18), (0.66, 1.0), (0.0, 1.0)]
    easel.dress(easel.polygon(body, [0.1, 0.0, 0.0, 0.1]), scale=0.29)
    radius = min(0.29, 0.2 * easel.width / easel.height)
    for share, colour in ((1.0, STEEL), (0.76, RUBBER), (0.5, GLASS)):
        easel.fill(easel.disc((0.78, 0.6), radius * share), colour)
    easel.gleam(easel.disc((0.75, 0.56), radius * 0.16, steps=12), 0.8)


def _backpack(easel: Easel) -> None:
    easel.tube(easel.curve([(0.38, 0.14), (0.4, 0.035), (0.6, 0.035), (0.62, 0.14)]), easel.tone, 0.04)
    for side in (0.0, 0.86):
        easel.fill(
            easel.polygon([(side, 0.5), (side + 0.14, 0.5), (side + 0.14, 0.9), (side, 0.9)], 0.05), easel.tone
        )
    easel.fill(easel.polygon([(0.08, 0.5), (0.92, 0.5), (0.92, 1.0), (0.08, 1.0)], 0.08), easel.tone)
    half = [(0.74, 0.07), (0.92, 0.28), (0.92, 0.76)]
    easel.dress(easel.polygon(mirrored(half), [0.16, 0.16, 0.03, 0.03, 0.16, 0.16]), scale=0.29)
    easel.stroke(easel.curve([(0.22, 0.845), (0.78, 0.845)]), STEEL, 0.022)
    easel.fill(easel.polygon([(0.7, 0.84), (0.75, 0.84), (0.75, 0.92), (0.7, 0.92)], 0.01), BRASS)


def _umbrella(easel: Easel) -> None:
    easel.tube(easel.curve([(0.5, 0.03), (0.5, 0.07)]), STEEL, 0.02)
    hook = [(0.5, 0.5), (0.5, 0.9), (0.52, 0.955), (0.57, 0.965), (0.61, 0.94), (0.615, 0.89)]
    easel.tube(easel.curve(hook), WOOD, 0.035)
    dome = easel.curve(
        [(0.0, 0.58), (0.06, 0.34), (0.24, 0.13), (0.5, 0.06), (0.76, 0.13), (0.94, 0.34), (1.0, 0.58)]
    )
    scallops = []
    for right in (1.0, 0.75, 0.5, 0.25):
        scallops += easel.curve(
            [(right, 0.58), (right - 0.06, 0.525), (right - 0.19, 0.525), (right - 0.25, 0.58)]
        )
    easel.dress([*dome, *scallops], scale=0.32)
    for x, bend in ((0.25, 0.34), (0.75, 0.66)):
        easel.stroke(easel.curve([(0.5, 0.07), (bend, 0.24), (x, 0.57)]), easel.tone, 0.01)


MORE_KINDS: Mapping[str, tuple[float, Callable[[Easel], None]]] = {
    "teapot": (1.3, _teapot),
    "chair": (0.7, _chair),
    "guitar": (0.58, _guitar),
    "camera": (1.4, _camera),
    "backpack": (0.82, _backpack),
    "umbrella": (1.15, _umbrella),
}
"""Usual width over height, and how it is drawn."""

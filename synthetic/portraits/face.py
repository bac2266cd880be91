"""Paint the features of a face: mouth, nose, eyes, brows, glasses."""

from __future__ import annotations

import numpy as np

from photogenic.synthetic.portraits.paint import Colour, along, ellipse, mirrored, mix, shade, smooth, stroke
from photogenic.synthetic.portraits.person import Sitter

__all__ = ["paint_features"]

_IRISES: tuple[Colour, ...] = ((72, 46, 30), (104, 72, 40), (88, 116, 74), (74, 116, 158))
_BLACK: Colour = (26, 22, 24)
_WHITE: Colour = (244, 240, 236)


def paint_features(it: Sitter) -> None:
    """Paint all features of the face."""
    _mouth(it)
    _nose(it)
    for side in (-1, 1):
        _eye(it, side)
        _brow(it, side)
    if it.person.glasses > 0.5:
        _glasses(it)


def _mouth(it: Sitter) -> None:
    """Paint the mouth: flat and closed at smile 0, more curved above, open with teeth above 0.45."""
    person, smile = it.person, it.smile
    y, half = 0.60, 0.18 + 0.05 * person.mouth + 0.10 * smile
    lift, gape = 0.15 * smile - 0.035, max(0.0, smile - 0.35) * 0.19
    full = 0.05 + 0.045 * person.femininity + 0.02 * person.mouth
    top, low = y - 0.2 * lift, y + 0.35 * lift + gape
    rouge = mix((196, 108, 100), (196, 38, 62), 0.9 * person.makeup)
    lips = mix(mix(it.skin, rouge, 0.62 + 0.3 * person.makeup), shade(it.skin, 0.6), 0.2 * (1 - person.femininity))
    upper = [(0.0, top - 0.75 * full), (0.3 * half, top - full), (0.72 * half, top - 0.5 * (lift + full))]
    lower = [(0.66 * half, low - 0.35 * lift + 0.55 * full), (0.28 * half, low + 1.05 * full), (0.0, low + 1.15 * full)]
    it.soften((0.0, low + full + 0.1), (0.2, 0.08), shade(it.skin, 0.7), 0.6)
    it.fill(smooth(mirrored([*upper, (half, y - lift), *lower])), lips)
    if gape > 0.02:
        ceiling = [(0.0, top + 0.01), (0.45 * half, top - 0.14 * lift), (0.93 * half, y - 0.9 * lift)]
        floor = [(0.6 * half, low - 0.4 * lift), (0.25 * half, low + 0.1 * full), (0.0, low + 0.15 * full)]
        teeth = [(0.62 * half, y - 0.5 * lift + 0.42 * gape), (0.0, top + 0.72 * gape + 0.02)]
        it.fill(smooth(mirrored([*ceiling, *floor])), (104, 34, 38))
        it.fill(smooth(mirrored([*ceiling, *teeth])), _WHITE)
    else:
        bend, corner = y - 0.1 * lift, y - lift
        line = [(-half, corner), (-half / 2, bend), (0.0, y + 0.3 * lift), (half / 2, bend), (half, corner)]
        it.fill(stroke(line, 0.035, 0.4), shade(lips, 0.55))


def _nose(it: Sitter) -> None:
    tip, half = 0.27 + 0.07 * it.person.nose, 0.10 + 0.06 * it.person.nose
    dark = shade(it.skin, 0.7)
    it.soften((0.12, 0.12), (0.12, 0.32), shade(it.skin, 0.76), 0.6)
    it.soften((-0.03, 0.1), (0.07, 0.34), shade(it.skin, 1.14), 0.7)
    it.soften((0.0, tip + 0.06), (1.6 * half, 0.1), dark, 0.75)
    wings = [(-half, tip - 0.02), (-0.4 * half, tip + 0.06), (0.4 * half, tip + 0.06), (half, tip - 0.02)]
    it.fill(stroke(wings, 0.04), dark)
    for side in (-1, 1):
        it.fill(ellipse(side * 0.52 * half, tip + 0.03, 0.032, 0.018, n=12), shade(it.skin, 0.42))


def _eye(it: Sitter, side: int) -> None:
    person = it.person
    x, y = side * it.apart, -0.06
    half = 0.135 + 0.035 * person.eye_size
    opening = (0.072 + 0.034 * person.eye_size) * (1.0 - 0.22 * it.smile)
    above = [(x - half, y + 0.012), (x - 0.45 * half, y - opening), (x + 0.45 * half, y - opening), (x + half, y)]
    it.fill(smooth([*above, (x + 0.4 * half, y + 0.75 * opening), (x - 0.4 * half, y + 0.75 * opening)]), _WHITE)
    r = 0.98 * opening + 0.012
    centre, middle = x + 0.55 * half * (1.0 - it.gaze), y - 0.1 * opening  # both eyes turn to the same side
    it.fill(ellipse(centre, middle, r, r, n=20), along(_IRISES, person.eye_colour))
    it.fill(ellipse(centre, middle, 0.5 * r, 0.5 * r, n=14), _BLACK)
    it.fill(ellipse(centre - 0.35 * r, y - 0.5 * opening, 0.2 * r, 0.2 * r, n=10), (255, 255, 255))
    # The lid is painted last: it covers the part of the iris outside the white.
    arch = [(x - 1.12 * half, y + 0.02), (x - 0.5 * half, y - 1.12 * opening)]
    lid = [*arch, (x + 0.5 * half, y - 1.12 * opening), (x + 1.12 * half, y + 0.02)]
    line = mix(shade(it.skin, 0.4), _BLACK, 0.3 + 0.6 * person.makeup)
    it.fill(stroke(lid, 0.05 + 0.035 * person.makeup, 0.35), line)
    it.fill(stroke([(x - 0.9 * half, y + 0.03), (x, y + 0.95 * opening), (x + 0.9 * half, y + 0.03)], 0.022), line)
    if person.makeup > 0.3:
        it.fill(stroke([(x + side * 0.8 * half, y - 0.02), (x + side * 1.3 * half, y - 0.10)], 0.035, 0.3), _BLACK)
    if person.age > 0.5:
        bag = [(x - 0.8 * half, y + 0.14), (x, y + 0.18), (x + 0.8 * half, y + 0.14)]
        it.fill(stroke(bag, 0.02), shade(it.skin, 0.78))


def _brow(it: Sitter, side: int) -> None:
    person = it.person
    arch = 0.03 + 0.05 * person.femininity + 0.03 * it.smile
    y = -0.27 - 0.02 * it.smile - 0.02 * person.femininity
    inner = [(side * (it.apart - 0.19), y - 0.1 * arch), (side * (it.apart - 0.05), y - 0.75 * arch)]
    outer = [(side * (it.apart + 0.08), y - 0.9 * arch), (side * (it.apart + 0.2), y + 0.05)]
    it.fill(stroke([*inner, *outer], 0.045 + 0.075 * person.brows, 0.35), mix(it.hair, _BLACK, 0.35))


def _glasses(it: Sitter) -> None:
    apart, rx, ry = it.apart + 0.01, 0.25, 0.19 + 0.03 * it.person.hair_style
    frame: Colour = (38, 34, 40) if it.person.clothes < 0.6 else (120, 66, 40)
    for side in (-1, 1):
        outer, inner = (ellipse(side * apart, -0.04, rx - rim, ry - rim, n=36) for rim in (0.0, 0.035))
        it.fill(np.concatenate([outer, inner[::-1]]), frame)
        it.fill(stroke([(side * (apart + rx - 0.02), -0.08), (side * it.width, -0.06)], 0.04, 0.8), frame)
    it.fill(stroke([(-apart + rx, -0.06), (0.0, -0.1), (apart - rx, -0.06)], 0.04, 0.8), frame)

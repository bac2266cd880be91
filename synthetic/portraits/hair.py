"""Paint hair behind the head, hair around the face, and beards."""

from __future__ import annotations

from photogenic.synthetic.portraits.paint import mirrored, mix, shade, smooth
from photogenic.synthetic.portraits.person import Sitter

__all__ = ["paint_back_hair", "paint_beard", "paint_front_hair"]

_LONG = 0.35
"""Least length of hair that reaches below the ears."""


def paint_back_hair(it: Sitter) -> None:
    """Paint the hair behind the head: none if it is short, down to the chest if it is long."""
    person = it.person
    if person.hair_length < _LONG:
        return
    down = 0.35 + 1.9 * (person.hair_length - _LONG)
    full = it.width * (1.22 + 0.22 * person.hair_style)
    out = full * (0.92 + 0.18 * person.hair_length)
    crown = [(0.0, -1.17), (0.55 * full, -1.06), (full, -0.45), (full, 0.2)]
    it.fill(smooth(mirrored([*crown, (out, down), (0.55 * out, down + 0.16), (0.0, down + 0.1)])), shade(it.hair, 0.78))


def paint_front_hair(it: Sitter) -> None:
    """Paint the hair from the crown to the hairline, which the style sets; short hair ends above the ears."""
    person, w = it.person, it.width
    long = person.hair_length >= _LONG
    puff = 0.06 + 0.09 * person.hair_length + 0.05 * person.hair_style
    ends = 0.28 + 0.2 * person.hair_length if long else -0.12
    right = [(w + 0.35 * puff, ends), (w + puff, -0.35), (0.82 * w + puff, -0.86), (0.4 * w, -1.04 - puff)]
    left = [(-x, y) for x, y in reversed(right)]
    line = [(-0.95 * w, ends), *((x * w, y) for x, y in _hairline(it)), (0.95 * w, ends)]
    it.fill(smooth([*right, *left, *line], steps=5), it.hair)
    it.soften((-0.3 * w, -0.88), (0.5 * w, 0.2), shade(it.hair, 1.5), 0.45)


def _hairline(it: Sitter) -> list[tuple[float, float]]:
    """Return the hairline from the left temple over the forehead to the right one; x in half widths of the head."""
    person = it.person
    recede = 0.16 * max(0.0, person.age - 0.35) if person.hair_length < _LONG else 0.0
    if person.hair_style < 0.3:  # parted in the middle
        return [(-0.86, -0.25), (-0.5, -0.6), (0.0, -0.84), (0.5, -0.6), (0.86, -0.25)]
    if person.hair_style < 0.65:  # swept to one side
        return [(-0.9, -0.3), (-0.72, -0.56 - recede), (-0.42, -0.74 - recede), (0.3, -0.52 - recede), (0.86, -0.36)]
    if person.femininity > 0.5:  # a fringe
        return [(-0.88, -0.3), (-0.55, -0.40), (0.0, -0.44), (0.55, -0.40), (0.88, -0.3)]
    return [(-0.9, -0.42), (-0.62, -0.64 - recede), (0.0, -0.68 - recede), (0.62, -0.64 - recede), (0.9, -0.42)]


def paint_beard(it: Sitter) -> None:
    """Paint stubble to full beard; the mouth is painted over it."""
    beard, w = it.person.beard, it.width
    if beard < 0.15:
        return
    full = 0.03 + 0.08 * beard
    whiskers = [(0.0, 0.42), (0.2, 0.43), (0.36, 0.5), (0.62 * w, 0.36), (0.97 * w, 0.0), (0.93 * w + full / 3, 0.4)]
    chin = [((0.62 + 0.20 * it.person.jaw) * w + full, 0.78), (0.34 * w, 1.0 + full), (0.0, 1.04 + full)]
    it.fill(smooth(mirrored([*whiskers, *chin]), steps=5), mix(it.skin, it.hair, min(0.35 + beard, 0.92)))

"""The person of a portrait: traits that are constant over all photos, and the pose and colors of one photo."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic.synthetic.portraits.paint import (
    Canvas,
    Colour,
    Pose,
    Shape,
    along,
    ellipse,
    hsv,
    mirrored,
    mix,
    shade,
    smooth,
    stroke,
)

__all__ = ["Person", "Sitter", "paint_body", "paint_head", "seat"]

_SKINS: tuple[Colour, ...] = ((250, 218, 196), (238, 192, 160), (214, 160, 122), (168, 112, 78), (112, 72, 50))
_HAIRS: tuple[Colour, ...] = ((34, 27, 27), (66, 44, 34), (108, 70, 45), (150, 82, 48), (214, 172, 106))
_GREY: Colour = (196, 194, 192)


@dataclass(frozen=True, slots=True)
class Person:
    """Constant traits of a person, each in [0, 1]. `femininity` shapes the face; other traits correlate with it."""

    femininity: float = 0.5
    skin: float = 0.3
    hair: float = 0.4
    hair_length: float = 0.5
    hair_style: float = 0.5
    face_width: float = 0.5
    jaw: float = 0.5
    eye_size: float = 0.5
    eye_spacing: float = 0.5
    eye_colour: float = 0.3
    brows: float = 0.5
    nose: float = 0.5
    mouth: float = 0.5
    age: float = 0.3
    beard: float = 0.0
    makeup: float = 0.0
    glasses: float = 0.0  # worn above 0.5
    clothes: float = 0.6


@dataclass(frozen=True, slots=True)
class Sitter:
    """A person on a canvas, in a pose, with the colors that follow from the traits."""

    canvas: Canvas
    pose: Pose
    person: Person
    smile: float
    gaze: float
    skin: Colour
    hair: Colour
    width: float  # half the width of the head, in the pose's units

    def fill(self, shape: Shape, colour: Colour) -> None:
        self.canvas.fill(shape, colour, self.pose)

    def soften(self, at: tuple[float, float], radii: tuple[float, float], colour: Colour, strength: float) -> None:
        self.canvas.soften(at, radii, colour, strength, self.pose)

    @property
    def apart(self) -> float:
        """Distance from the middle of the face to the middle of an eye."""
        return 0.305 + 0.05 * self.person.eye_spacing


def seat(canvas: Canvas, pose: Pose, person: Person, *, smile: float, gaze: float) -> Sitter:
    """Mix the colors of the person."""
    return Sitter(
        canvas=canvas,
        pose=pose,
        person=person,
        smile=smile,
        gaze=gaze,
        skin=along(_SKINS, person.skin),
        hair=mix(along(_HAIRS, person.hair), _GREY, 1.9 * person.age - 1.0),
        width=0.69 + 0.10 * person.face_width,
    )


def paint_body(it: Sitter) -> None:
    """Paint the shoulders."""
    person = it.person
    breadth = 1.95 - 0.45 * person.femininity
    # One number sets the clothes: its digits give hue, saturation and lightness.
    cloth = hsv(person.clothes, 0.25 + 0.35 * (person.clothes * 7 % 1), 0.35 + 0.5 * (person.clothes * 13 % 1))
    slope = [(0.42, 1.16), (0.62, 1.38), (0.8 * breadth, 1.62), (breadth, 2.3), (breadth, 5.0)]
    it.fill(smooth(mirrored([(0.0, 1.1), *slope])), cloth)
    it.soften((0.0, 1.5), (0.75, 0.4), shade(cloth, 0.7), 0.7)


def paint_head(it: Sitter) -> None:
    """Paint neck, ears, the shape of the face and its shading, without the features."""
    person, skin, width = it.person, it.skin, it.width
    half, deep = 0.42 - 0.10 * person.femininity, 1.5 + 0.35 * person.femininity
    neck = [(0.0, 0.55), (half, 0.6), (half, 1.12), (half + 0.16, 1.34), (0.12, deep), (0.0, deep + 0.02)]
    it.fill(smooth(mirrored(neck)), shade(skin, 0.93))
    it.soften((0.0, 0.98), (0.62, 0.42), shade(skin, 0.58), 0.85)
    for side in (-1, 1):
        it.fill(ellipse(side * width, 0.06, 0.11, 0.19), shade(skin, 0.88))
    it.fill(_outline(it), skin)
    it.soften((-0.25, -0.35), (0.6, 0.5), shade(skin, 1.1), 0.7)  # light from the upper left
    it.soften((0.74 * width, 0.25), (0.34, 0.75), shade(skin, 0.78), 0.55)
    blush = mix(skin, (226, 96, 92), 0.35 + 0.35 * person.makeup)
    fold = max(0.8 * it.smile - 0.25, 0.9 * person.age - 0.35)  # from the nose to the corner of the mouth
    for side in (-1, 1):
        it.soften((side * 0.42, 0.32 - 0.03 * it.smile), (0.24, 0.17), blush, 0.55)
        it.soften((side * 0.33, -0.10), (0.24, 0.17), shade(skin, 0.66), 0.62)  # the eye's socket
        if fold > 0:
            line = [(side * 0.22, 0.34), (side * 0.33, 0.46), (side * 0.36, 0.6)]
            it.fill(stroke(line, 0.035), mix(skin, shade(skin, 0.7), fold))
    if person.age > 0.55:
        for y in (-0.52, -0.43):
            it.fill(stroke([(-0.3, y + 0.02), (0.0, y), (0.3, y + 0.02)], 0.02), shade(skin, 0.87))


def _outline(it: Sitter) -> Shape:
    jaw, w = it.person.jaw, it.width
    crown = [(0.0, -1.0), (0.52 * w, -0.92), (0.9 * w, -0.58), (w, -0.1)]
    below = [((0.86 + 0.08 * jaw) * w, 0.4), ((0.60 + 0.20 * jaw) * w, 0.74), ((0.24 + 0.16 * jaw) * w, 0.97)]
    return smooth(mirrored([*crown, *below, (0.0, 1.02)]))

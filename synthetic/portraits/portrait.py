"""Draw portraits of people who do not exist, with known traits.

`draw_portrait` turns traits into a flat illustration: a background, no person, one or several, the light,
and some sensor noise. BlazeFace finds the faces, a classifier can recognize gender in them, and traits that a viewer
would judge (smile, warm light, closeness of the face) are inputs of the rule of popularity.
The same traits and seed give the same pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from photogenic._lazy import Image
from photogenic.synthetic.portraits.face import paint_features
from photogenic.synthetic.portraits.hair import paint_back_hair, paint_beard, paint_front_hair
from photogenic.synthetic.portraits.paint import Canvas, Colour, Pose, along, ellipse, mix, shade, smooth
from photogenic.synthetic.portraits.person import Person, paint_body, paint_head, seat

__all__ = ["Person", "Traits", "draw_portrait", "encode_jpeg"]

_WALLS: tuple[Colour, ...] = (
    (226, 178, 118),  # sand
    (214, 116, 88),  # terracotta
    (196, 120, 142),  # rose
    (128, 116, 178),  # iris
    (78, 130, 184),  # sky
    (66, 152, 152),  # teal
    (132, 164, 104),  # sage
)


@dataclass(frozen=True, slots=True)
class Traits:
    """Traits of one photo, each number in [0, 1].

    Attributes:
        people: number of people, 0 (a landscape) to 4.
        smile: closed and flat to open with teeth, for all people in the image.
        gaze: eyes turned aside to eyes into the camera.
        closeness: height of the head, 0.42 to 0.74 of the image (less in a group).
        tilt: tilt of the head, 0.5 upright.
        warmth: bluish to golden light.
        brightness: dim to bright light.
        hue, saturation: color of the background.
        clutter: number of lights in the background.
    """

    people: tuple[Person, ...] = (Person(),)
    smile: float = 0.5
    gaze: float = 1.0
    closeness: float = 0.5
    tilt: float = 0.5
    warmth: float = 0.5
    brightness: float = 0.5
    hue: float = 0.6
    saturation: float = 0.4
    clutter: float = 0.2


def draw_portrait(traits: Traits, seed: int = 0, size: int = 384) -> Image.Image:
    """Draw an RGB image of size x size pixels. The seed sets what no trait describes: lights, hills, noise."""
    rng = np.random.default_rng(seed)
    top, bottom = _background(traits)
    canvas = Canvas(size, top, bottom, glow=(rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.4)))
    _paint_lights(canvas, traits, top, rng)
    if not traits.people:
        _paint_hills(canvas, bottom, rng)
    for person, pose in zip(traits.people, _poses(traits, rng), strict=True):
        sitter = seat(canvas, pose, person, smile=traits.smile, gaze=traits.gaze)
        for paint in (paint_body, paint_back_hair, paint_head, paint_beard, paint_features, paint_front_hair):
            paint(sitter)
    return canvas.finished(_light(traits), grain=2.5, seed=seed)


def encode_jpeg(image: Image.Image, quality: int = 88) -> bytes:
    """Return the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _background(traits: Traits) -> tuple[Colour, Colour]:
    colour = mix((172, 172, 174), along(_WALLS, traits.hue), 0.1 + 0.9 * traits.saturation)
    return shade(colour, 1.12), shade(colour, 0.74)


def _light(traits: Traits) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the gain per channel."""
    warm, level = traits.warmth - 0.5, 0.68 + 0.42 * traits.brightness
    return np.array([1 + 0.22 * warm, 1 + 0.02 * warm, 1 - 0.42 * warm], np.float32) * np.float32(level)


def _poses(traits: Traits, rng: np.random.Generator) -> list[Pose]:
    n = len(traits.people)
    if n <= 1:
        unit = 0.21 + 0.16 * traits.closeness
        x, tilt = 0.5 + rng.uniform(-0.05, 0.05), 0.5 * (traits.tilt - 0.5)
        return [Pose(x, 0.47 + 0.05 * traits.closeness, unit, tilt)] * n
    unit = (0.155 + 0.045 * traits.closeness) * (1.0, 1.0, 1.12, 0.92, 0.8)[n]
    places = (np.arange(n) + 0.5) / n
    return [
        Pose(0.5 + (x - 0.5) * 0.96, 0.46 + rng.uniform(-0.07, 0.07), unit, rng.uniform(-0.14, 0.14)) for x in places
    ]


def _paint_lights(canvas: Canvas, traits: Traits, top: Colour, rng: np.random.Generator) -> None:
    """Paint round lights that are out of focus."""
    for _ in range(round(14 * traits.clutter)):
        x, y, radius = rng.uniform(0, 1), rng.uniform(0, 0.85), rng.uniform(0.02, 0.075)
        canvas.fill(ellipse(x, y, radius, radius), mix(top, (255, 244, 220), rng.uniform(0.15, 0.5)))


def _paint_hills(canvas: Canvas, ground: Colour, rng: np.random.Generator) -> None:
    for depth, y in enumerate((0.55, 0.68, 0.8)):
        ridge = [(x, y + rng.uniform(-0.07, 0.07)) for x in (-0.1, 0.15, 0.4, 0.65, 0.9, 1.1)]
        canvas.fill(smooth([*ridge, (1.2, 1.1), (-0.2, 1.1)]), shade(ground, 0.85 - 0.2 * depth))
    canvas.fill(ellipse(rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.35), 0.07, 0.07, n=48), (255, 240, 205))

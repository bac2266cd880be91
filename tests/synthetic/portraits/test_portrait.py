"""Drawn portraits: the same traits give the same pixels, and every trait changes the image."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from photogenic.synthetic.portraits.portrait import Person, Traits, draw_portrait, encode_jpeg


def _pixels(traits: Traits, seed: int = 0) -> np.ndarray:
    return np.asarray(draw_portrait(traits, seed, size=192), np.float32)


def test_same_traits_and_seed_give_the_same_pixels():
    assert np.array_equal(_pixels(Traits(), 5), _pixels(Traits(), 5))
    assert not np.array_equal(_pixels(Traits(), 5), _pixels(Traits(), 6))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_any_number_of_people_can_be_drawn(n):
    picture = draw_portrait(Traits(people=(Person(),) * n), size=192)
    assert (picture.size, picture.mode) == ((192, 192), "RGB")


@pytest.mark.parametrize(
    "trait", ["smile", "gaze", "closeness", "tilt", "warmth", "brightness", "hue", "saturation", "clutter"]
)
def test_every_trait_of_a_photo_shows(trait):
    low, high = (_pixels(replace(Traits(), **{trait: value})) for value in (0.0, 1.0))
    assert np.abs(low - high).max() > 20


@pytest.mark.parametrize("trait", list(Person.__dataclass_fields__))
def test_every_trait_of_a_person_shows(trait):
    # Long hair, so that its styles differ; some beard and age, so that their colors do; hues wrap at 1.
    person = Person(hair_length=0.6, beard=0.3, age=0.5, femininity=0.4)
    low, high = (_pixels(Traits(people=(replace(person, **{trait: value}),))) for value in (0.0, 0.9))
    assert np.abs(low - high).max() > 20


def test_warm_light_is_golden_and_bright_light_is_light():
    def mean(**light: float) -> np.ndarray:
        return _pixels(replace(Traits(), **light)).mean(axis=(0, 1))

    cold, warm = mean(warmth=0.0), mean(warmth=1.0)
    assert warm[0] / warm[2] > 1.3 * cold[0] / cold[2]
    assert mean(brightness=1.0).sum() > 1.3 * mean(brightness=0.0).sum()


def test_encoded_bytes_are_a_jpeg_of_the_same_size():
    jpeg = encode_jpeg(draw_portrait(Traits(), size=192))
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (192, 192))

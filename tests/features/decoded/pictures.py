"""Small synthetic photos of many kinds for tests of exports and of decoded pictures."""

import functools
import io

import numpy as np
from PIL import Image


def noise(seed, width, height):
    draws = np.random.default_rng(seed).integers(0, 255, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(draws).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@functools.cache
def photos():
    """photo_id -> bytes."""
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = noise(3, 90, 120).convert("RGBA")
    clear.putalpha(100)
    found = {
        "small": encoded(noise(1, 80, 60)),
        "turned": encoded(noise(2, 320, 200), exif=turned),
        "clear": encoded(clear, "PNG"),
        "reduced": encoded(noise(4, 2700, 1400), quality=60),
        "tall": encoded(noise(5, 300, 900)),
        "gray": encoded(noise(6, 250, 250).convert("L")),
        "webp": encoded(noise(7, 240, 260), "WEBP"),
    }
    return found | {"twin": found["small"]}


def cut_short():
    """A JPEG that ends in the middle of its pixels."""
    whole = encoded(noise(9, 400, 400), quality=90)
    return whole[: len(whole) // 2]

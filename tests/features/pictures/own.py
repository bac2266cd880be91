"""Features of a user, as a module that FEATURES_MODULES names."""

from __future__ import annotations

import os
import time

from photogenic import feature


@feature(columns={"redness": "double: mean of red minus the mean of green, -255 to 255"})
def redness(pixels):
    """How red each photo is."""
    red, green, _ = pixels.reshape(-1, 3).mean(axis=0)
    return {"redness": red - green}


@feature(input="face", columns={"luma": "double: mean of the box", "n_pixels": "bigint: pixels of the box"})
def face_light(pixels, photo):
    assert len(photo.faces) == 1
    return {"luma": pixels.mean(), "n_pixels": pixels.shape[0] * pixels.shape[1]}


@feature(
    columns={"n_faces": "bigint: faces", "wide": "boolean: wider than high", "size": "varchar: its size"}, batch=True
)
def frames(pictures, photos):
    return [
        {"n_faces": len(photo.faces), "wide": photo.width > photo.height, "size": f"{photo.width}x{photo.height}"}
        for _, photo in zip(pictures, photos, strict=True)
    ]


@feature(columns={"x": "double: a number"}, seconds=1.0)
def deadly(pixels):
    """Fails by the width of the photo."""
    width = pixels.shape[1]
    if width == 101:
        raise ValueError("in /secret/place of it")
    if width == 102:
        return {"y": 1.0}
    if width == 103:
        os._exit(7)
    if width == 104:
        time.sleep(60)
    if width == 105:
        return {"x": float("inf")}
    if width == 106:
        time.sleep(0.3)
    return {"x": float(width)}

"""Photos decoded in groups: on a GPU the JPEGs that it can do as well, everything else as decode.py does.

A GPU takes whole JPEGs of three channels that stand upright and that `decode` would not reduce: reducing while
decoding is cheaper than any GPU. Its pixels differ from Pillow's by a few levels of 255, as those of two
JPEG libraries do.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import Image, torch, torchvision
from photogenic.features.encoders.device import Device
from photogenic.features.images.decode import MIN_SIDE, Decoded, decode
from photogenic.ingest.images.image_header import orientation, too_large

__all__ = ["decoded"]

_TOGETHER = 32
"""Photos whose pixels are held at a time, some 3 MB each."""


def decoded(photos: Iterable[bytes], device: Device) -> Iterator[tuple[bytes, Decoded]]:
    """Each photo's bytes and what they show, in order.

    Args:
        photos: image files.
        device: where JPEGs are decoded, if it is a GPU.
    """
    if not device.is_gpu:
        yield from ((data, decode(data)) for data in photos)
        return
    rest = iter(photos)
    while group := tuple(itertools.islice(rest, _TOGETHER)):
        yield from zip(group, group_decoded(group, device.name), strict=True)


def group_decoded(photos: Sequence[bytes], device: str) -> list[Decoded]:
    """As `decode` of each; what the device refuses, Pillow has the last word on.

    Args:
        photos: image files.
        device: as torch calls it.
    """
    chosen = [at for at, data in enumerate(photos) if _suits(data)]
    pixels = dict(zip(chosen, _on_device([photos[at] for at in chosen], device), strict=True))
    found = []
    for at, data in enumerate(photos):
        image = pixels.get(at)
        # Of a photo that was cut short nvJPEG leaves the rest black, without a word; Pillow fills it with grey.
        if image is None or not image[-1, -8:].any():
            found.append(decode(data))
        else:
            found.append(Decoded("ok", "", image, image.shape[1], image.shape[0]))
    return found


def _suits(data: bytes) -> bool:
    """Whether nothing about this file asks for more than pixels."""
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        return False
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        upright = orientation(image) == 1
    except (OSError, SyntaxError, ValueError):
        return False
    width, height = image.size
    return upright and image.mode == "RGB" and min(width, height) < 2 * MIN_SIDE and not too_large(width, height)


def _on_device(photos: Sequence[bytes], device: str) -> list[NDArray[np.uint8] | None]:
    """uint8 (h, w, 3) of each; None of those that it refuses. It refuses groups: the halves are tried in turn."""
    if not photos:
        return []
    files = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in photos]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its successor, which is not to be had everywhere yet
            images = torchvision.io.decode_jpeg(files, mode=torchvision.io.ImageReadMode.RGB, device=device)
    except RuntimeError:
        if len(photos) == 1:
            return [None]
        half = len(photos) // 2
        return [*_on_device(photos[:half], device), *_on_device(photos[half:], device)]
    return [np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()) for image in images]

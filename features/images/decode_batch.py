"""Decode photos in groups: plain JPEGs on a GPU if there is one, everything else as in decode.py.

The GPU decodes complete, upright JPEGs of three channels that `decode` would not reduce, because a reduced decode on
the CPU is faster. Its pixels differ from Pillow's by a few levels of 255, as is usual between JPEG libraries.
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

__all__ = ["decode_photos"]

_GROUP = 32
"""Photos in memory at a time, about 3 MB each."""


def decode_photos(photos: Iterable[bytes], device: Device) -> Iterator[tuple[bytes, Decoded]]:
    """Yield the bytes and the decoded photo of each file, in order.

    Args:
        photos: bytes of image files.
        device: device that decodes JPEGs if it is a GPU.
    """
    if not device.is_gpu:
        yield from ((data, decode(data)) for data in photos)
        return
    rest = iter(photos)
    while group := tuple(itertools.islice(rest, _GROUP)):
        yield from zip(group, decode_group(group, device.name), strict=True)


def decode_group(photos: Sequence[bytes], device: str) -> list[Decoded]:
    """Decode each photo like `decode`; files that the device refuses are decoded by Pillow.

    Args:
        photos: bytes of image files.
        device: GPU, as in torch: cuda, cuda:1.
    """
    chosen = [at for at, data in enumerate(photos) if _is_plain_jpeg(data)]
    pixels = dict(zip(chosen, _decode_on_gpu([photos[at] for at in chosen], device), strict=True))
    found = []
    for at, data in enumerate(photos):
        image = pixels.get(at)
        # nvJPEG fills the rest of a truncated photo with black and reports no error; Pillow fills it with gray.
        if image is None or not image[-1, -8:].any():
            found.append(decode(data))
        else:
            found.append(Decoded("ok", "", image, image.shape[1], image.shape[0]))
    return found


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether this file is a complete, upright RGB JPEG that `decode` would not reduce."""
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        return False
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        upright = orientation(image) == 1
    except (OSError, SyntaxError, ValueError):
        return False
    width, height = image.size
    return upright and image.mode == "RGB" and min(width, height) < 2 * MIN_SIDE and not too_large(width, height)


def _decode_on_gpu(photos: Sequence[bytes], device: str) -> list[NDArray[np.uint8] | None]:
    """Decode to uint8 (h, w, 3); None for refused files. The GPU refuses whole groups, so halves are tried in turn."""
    if not photos:
        return []
    files = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in photos]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it names a successor that torchvision does not have on all platforms yet
            images = torchvision.io.decode_jpeg(files, mode=torchvision.io.ImageReadMode.RGB, device=device)
    except RuntimeError:
        if len(photos) == 1:
            return [None]
        half = len(photos) // 2
        return [*_decode_on_gpu(photos[:half], device), *_decode_on_gpu(photos[half:], device)]
    return [np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()) for image in images]

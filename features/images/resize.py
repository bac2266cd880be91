"""Resize pixels for a network: bicubic, anti-aliased, uint8 in and out.

torch's resize computes the same as Pillow's (to one gray level) in a third of its time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import nn, torch

__all__ = ["center_crop", "resize"]


def resize(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize `pixels` (h, w, 3) to (height, width, 3)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    # (1, 3, h, w) in channels-last order is the layout of torch's fast path, and needs no copy.
    batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    small = nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return small[0].permute(1, 2, 0).numpy()


def center_crop(pixels: NDArray[np.uint8], size: int, share: float = 1.0) -> NDArray[np.uint8]:
    """Crop the center square of a photo to (size, size, 3). `share`: its side over the photo's short side."""
    height, width = pixels.shape[:2]
    side = max(round(min(height, width) * share), 1)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(pixels[top : top + side, left : left + side], size, size)

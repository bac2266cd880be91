"""The rule that makes one square picture from the bytes of a photo, and the versions of the decoders that apply it.

    bytes -> upright RGB (images/decode.py) -> center square, or the whole photo -> size x size (images/resize.py)

An encoder of whole photos and fine-tuning make their pictures by such a rule too. Where the rules are equal, so are the
pictures, bit for bit, as long as the versions of the decoders are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import torch
from photogenic.features.encoders.base import Backbone, InputSpec
from photogenic.features.images.decode import MIN_SIDE, Decoded, decode
from photogenic.features.images.resize import center_crop, resize

__all__ = ["PictureRule", "decoders", "side_with_margin"]

_SHARE = 0.875

_VERSION = 1
"""Increase it when the same bytes, rule and libraries give other pixels than before."""


@dataclass(frozen=True, slots=True)
class PictureRule:
    """How a photo becomes a picture, uint8 (size, size, 3), RGB.

    Attributes:
        size: side of the picture in pixels.
        crop: `centre` (the middle square of the photo) or `squashed` (the whole photo).
        share: side of the center square as a share of the photo's short side.
        min_side: smallest short side in pixels to which a large JPEG is reduced while it is decoded.
    """

    size: int
    crop: Literal["centre", "squashed"] = "centre"
    share: float = 1.0
    min_side: int = MIN_SIDE

    @classmethod
    def of_size(cls, size: int, crop: Literal["centre", "squashed"] = "centre", share: float = 1.0) -> PictureRule:
        """The rule for a size: a JPEG is not reduced below twice the size, nor below `MIN_SIDE`."""
        return cls(size, crop, 1.0 if crop == "squashed" else share, max(MIN_SIDE, 2 * size))

    @classmethod
    def of_input(cls, spec: InputSpec) -> PictureRule | None:
        """The rule that makes the input of an encoder; None: it takes a face."""
        if spec.input != "photo" or spec.crop not in ("centre", "squashed"):
            return None
        return cls.of_size(spec.size, spec.crop, spec.crop_pct)

    @classmethod
    def of_training(cls, backbone: Backbone) -> PictureRule:
        """The rule that makes the pictures of which fine-tuning takes random crops."""
        return cls(side_with_margin(backbone))

    @property
    def n_bytes(self) -> int:
        """Size of one picture in bytes."""
        return self.size * self.size * 3

    def apply(self, data: bytes) -> tuple[Decoded, NDArray[np.uint8] | None]:
        """Decode the bytes of a photo. The picture is None unless the status is ok."""
        photo = decode(data, min_side=self.min_side)
        if photo.pixels is None:
            return photo, None
        if self.crop == "squashed":
            return photo, resize(photo.pixels, self.size, self.size)
        return photo, center_crop(photo.pixels, self.size, self.share)

    def __str__(self) -> str:
        part = "the whole photo" if self.crop == "squashed" else f"the center square, {self.share:g} of the short side"
        return f"{self.size} x {self.size} pixels of {part}, JPEGs reduced to {self.min_side} pixels at the least"

    def facts(self) -> dict[str, Any]:
        """The fields, for a manifest."""
        return asdict(self)


def decoders() -> dict[str, str]:
    """Versions of everything that decides the pixels besides the rule."""
    import PIL
    from PIL import features

    return {
        "rule": str(_VERSION),
        "pillow": PIL.__version__,
        "libjpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        "torch": torch.__version__.partition("+")[0],
    }


def side_with_margin(backbone: Backbone) -> int:
    """Side in pixels of a picture with room for random crops of the network's input size: 256 for 224, 342 for 299."""
    return round(backbone.size / min(backbone.crop_pct, _SHARE))

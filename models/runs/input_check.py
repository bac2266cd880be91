"""Check that the encoders and the stored vectors of a run are those of its training."""

from __future__ import annotations

from pathlib import Path

from photogenic.features.encoders import registry
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors import reader
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import EncoderError, Layout

__all__ = ["check_encoders", "check_vectors"]

_HALF = "h"
"""Suffix of the digest of vectors stored in half precision, which are the same vectors, rounded."""


def check_encoders(run: Run, faces: FaceSettings, *, models: Path) -> None:
    """Refuse a run whose encoder has other weights, or another input picture, than in its training."""
    for name, trained_with in run.encoder_digests.items():
        now = registry.encoder(name, models).digest(faces.digest)
        if trained_with.removesuffix(_HALF) != now:
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; {name} is {now} here.",
                "the weights and the face detector that its training vectors were made with",
                "features build, then features train, to train a head for the present encoder",
            )


def check_vectors(layout: Layout, run: Run) -> None:
    """Refuse a run whose vectors in the store differ from those of its training."""
    for name, trained_with in run.encoder_digests.items():
        held = reader.manifest(layout, name).digest
        if trained_with.removesuffix(_HALF) != held.removesuffix(_HALF):
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; the store holds {held}.",
                "the vectors that the head was trained on",
                "features train, to train a head for the present vectors",
            )

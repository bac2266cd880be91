"""Check that the encoders and the stored vectors of a run are those of its training."""

from __future__ import annotations

from pathlib import Path

from photogenic.features.encoders import registry
from photogenic.features.encoders.base import Encoder
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors import reader
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import EncoderError, Layout
from photogenic.warehouse.user_modules import VARIABLES, how_to_register

__all__ = ["check_encoders", "check_vectors"]

_HALF = "h"
"""Suffix of the digest of vectors stored in half precision, which are the same vectors, rounded."""


def check_encoders(run: Run, faces: FaceSettings, *, models: Path) -> None:
    """Refuse a run whose encoder has other weights, or another input picture, than in its training."""
    for name, trained_with in run.encoder_digests.items():
        now = _registered(run, name, models).digest(faces.digest)
        if trained_with.removesuffix(_HALF) != now:
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; {name} is {now} here.",
                "the weights and the face detector that its training vectors were made with",
                "features build, then features train, to train a head for the present encoder",
            )


def _registered(run: Run, name: str, models: Path) -> Encoder:
    """Return an encoder of a run.

    Raises:
        EncoderError: it is not registered here; the remedy names the setting that brings it.
    """
    try:
        return registry.encoder(name, models)
    except EncoderError as error:
        if {"@", ":"} & set(name) or any(variable in error.what for variable in VARIABLES):
            raise
        raise EncoderError(
            f"Run {run.run_id} needs the encoder {name!r}, which is not registered here.",
            error.expected,
            how_to_register(name),
        ) from error


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

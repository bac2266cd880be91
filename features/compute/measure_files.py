"""Features of a picture for files outside the store, computed as a build computes them for its photos.

    measure_files(["portrait.jpg"], ["photo_quality"])     -> ["ok"], {"photo_quality": [{"sharpness": 112.0, ...}]}

Features of a network, of faces, or whose code is not here are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from photogenic.features.compute.embed_files import read_file
from photogenic.features.faces.detector import Detector, DetectorFailed, FaceSettings
from photogenic.features.images.decode import decode
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.registry import picture_feature
from photogenic.features.pictures.runner import Runner
from photogenic.features.pictures.work import PictureWork
from photogenic.warehouse import InputError

__all__ = ["measurable", "measure_files"]


def measurable(names: Sequence[str]) -> list[str]:
    """Return those of some relations that are features of whole photos which a function computes here."""
    return [name for name in names if _function(name) is not None]


def measure_files(
    paths: Sequence[Path | str], names: Sequence[str], *, faces: FaceSettings | None = None
) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
    """Return the status of each file, and the values of each feature for each file by column; empty if it has none.

    Args:
        paths: picture files.
        names: features, as `measurable` returns them.
        faces: options of the face detector.
    """
    features = {name: feature for name in names if (feature := _function(name)) is not None}
    found: dict[str, list[dict[str, Any]]] = {name: [{} for _ in paths] for name in features}
    statuses = ["ok"] * len(paths)
    if not features:
        return statuses, found
    settings = faces or FaceSettings()
    detector = Detector(settings)
    try:
        with Runner() as run:
            work = PictureWork(features, run)
            for at, path in enumerate(paths):
                status, _, data = read_file(Path(path))
                photo = decode(data) if status == "ok" else None
                if photo is None or photo.pixels is None:
                    statuses[at] = status if photo is None else photo.status
                    continue
                try:
                    shown = [face for face in detector(photo.pixels) if face.confidence >= settings.confidence]
                except DetectorFailed:
                    statuses[at] = "detector_failed"
                    continue
                work.add(str(at), sorted(features), photo.pixels, (photo.width, photo.height), shown)
            for row in work.finish():
                columns = [column.name for column in features[row.feature].columns]
                found[row.feature][int(row.sha256)] = dict(zip(columns, row.values, strict=True))
    finally:
        detector.close()
    return statuses, found


def _function(name: str) -> PictureFeature | None:
    try:
        feature = picture_feature(name)
    except InputError:
        return None
    return feature if feature.function is not None and feature.input == "photo" else None

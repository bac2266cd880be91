"""Store detection results: one row per photo bytes, with the faces that the detector found.

    sha256, status, detail, width, height, faces: list of {x0, y0, x1, y1, confidence, keypoints}

Coordinates are pixels of the upright original; faces are sorted by descending confidence. A photo that cannot be
decoded has a row with the reason, so it is not tried again until its bytes change.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from photogenic._lazy import pa, pl, pq
from photogenic.features.faces.detector import Face, FaceSettings
from photogenic.warehouse import Layout
from photogenic.warehouse.storage.parquet_parts import Parts

__all__ = ["DetectionResult", "FaceDetections", "stored_face"]

_SMALL = 32_768
_FULL = 1 << 20


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """The result of decoding one photo and detecting its faces."""

    sha256: str
    status: str
    detail: str
    width: int
    height: int
    faces: Sequence[Face]


class FaceDetections:
    """The stored detections of one detector.

    Args:
        layout: paths of the store.
        settings: detector and lowest confidence of a face.
    """

    def __init__(self, layout: Layout, settings: FaceSettings) -> None:
        self.settings = settings
        self.parts = Parts(layout.faces / settings.digest, settings.digest)

    def append(self, detections: Sequence[DetectionResult]) -> None:
        """Write a durable part with these results."""
        rows = [
            {
                "sha256": s.sha256,
                "status": s.status,
                "detail": s.detail,
                "width": s.width,
                "height": s.height,
                "faces": [
                    {
                        "x0": f.x0,
                        "y0": f.y0,
                        "x1": f.x1,
                        "y1": f.y1,
                        "confidence": f.confidence,
                        "keypoints": f.keypoints.ravel().tolist(),
                    }
                    for f in s.faces
                ],
            }
            for s in sorted(detections, key=lambda detection: detection.sha256)
        ]
        self.parts.append(pa.Table.from_pylist(rows, schema=_schema()))

    def overview(self) -> pl.DataFrame:
        """One row per photo: sha256, status, detail, width, height, and `n_faces` with at least the confidence set."""
        paths = self.parts.verified_paths()
        if not paths:
            names = {"sha256": pl.String, "status": pl.String, "detail": pl.String}
            return pl.DataFrame(schema={**names, "width": pl.Int32, "height": pl.Int32, "n_faces": pl.UInt32})
        counts = pl.element().struct.field("confidence") >= self.settings.confidence
        return (
            pl.scan_parquet(paths, glob=False)
            .with_columns(n_faces=pl.col("faces").list.eval(counts).list.sum().cast(pl.UInt32))
            .drop("faces")
            .unique("sha256", keep="any")
            .sort("sha256")
            .collect()
        )

    def stored(self, sha256s: pl.Series) -> pl.DataFrame:
        """The faces of these photos, as far as they were decoded: sha256, faces (see `stored_face`)."""
        paths = self.parts.verified_paths()
        if not paths:
            return pl.DataFrame(schema={"sha256": pl.String, "faces": pl.List(pl.Struct({}))})
        rows = pl.scan_parquet(paths, glob=False).filter(pl.col("sha256").is_in(sha256s.implode()), status="ok")
        return rows.select("sha256", "faces").unique("sha256", keep="any").collect()

    def state(self) -> str:
        """Digest of the stored parts and of the lowest confidence, 16 hex digits."""
        names = " ".join(path.name for path in self.parts.paths())
        return hashlib.sha256(f"{names} {self.settings.confidence}".encode()).hexdigest()[:16]

    def commit(self, current: pl.Series) -> None:
        """Keep only the photos whose digest is in `current`, merge small parts, and publish the manifest."""
        kept, rewritten = [], []
        seen: set[str] = set()
        wanted = set(current)
        small = [path for path in self.parts.paths() if pq.read_metadata(path).num_rows < _SMALL]
        for path in self.parts.verified_paths():
            table = pq.read_table(path)
            digests = table["sha256"].to_pylist()
            mask = [digest in wanted and digest not in seen for digest in digests]
            seen.update(digests)
            if all(mask) and (path not in small or len(small) < 2):
                kept.append(path)
            else:
                rewritten.append(table.filter(pa.array(mask)))
        if rewritten:
            table = pa.concat_tables(rewritten).sort_by("sha256")
            kept += [self.parts.append(table.slice(at, _FULL)) for at in range(0, len(table), _FULL)]
        names = sorted(path.name for path in kept)
        if not self.parts.are_published(names):
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            facts = {
                "detector": f"blazeface_{self.settings.model}",
                "digest": self.settings.digest,
                "confidence_floor": self.settings.floor,
                "n_photos": len(seen & wanted),
                "created_at": now,
            }
            self.parts.publish(facts, kept)


def stored_face(row: Mapping[str, Any]) -> Face:
    """A face from its stored form."""
    keypoints = np.array(row["keypoints"], np.float64).reshape(-1, 2)
    return Face(row["x0"], row["y0"], row["x1"], row["y1"], row["confidence"], keypoints)


def _schema() -> pa.Schema:

    number = pa.float64()
    box = [(name, number) for name in ("x0", "y0", "x1", "y1", "confidence")]
    face = pa.struct([*box, ("keypoints", pa.list_(number))])
    text = [(name, pa.string()) for name in ("sha256", "status", "detail")]
    return pa.schema([*text, ("width", pa.int32()), ("height", pa.int32()), ("faces", pa.list_(face))])

"""Embed files that are not in the store, for `similar FILE` and `predict FILE`.

A folder is replaced by the pictures in it, a glob by the files that match.

Decoding, face detection, crops and network are those of a build, so a file that is also in the store gets the same
vector (to 1e-5, because batches of files are not padded).
"""

from __future__ import annotations

import glob
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compute.preprocess import crop_for_encoder
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.encoders.device import choose
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detector import Detector, DetectorFailed, FaceSettings
from photogenic.features.images.decode import decode
from photogenic.warehouse.closing import Closing

__all__ = ["Embedded", "FileEmbedder", "embed_files", "picture_files", "read_file"]

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mpo"}
"""Suffixes of pictures in a folder; a file that is given by name may have any suffix."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """The result for one file.

    Attributes:
        status: ok; missing, empty, not_an_image, unsupported_format, truncated, unreadable, too_large; detector_failed,
            no_face, several_faces; bad_vector where the network returned numbers that are not finite.
        embedding: float32 (dim,); None unless the status is ok.
    """

    path: Path
    status: str
    detail: str
    embedding: NDArray[np.float32] | None


def embed_files(
    paths: Sequence[Path | str],
    name: str,
    *,
    models: Path | None = None,
    faces: FaceSettings | None = None,
    device: str | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Embedded]:
    """Embed files: one result per path, in order; a bad file has a status and raises no error.

    Args:
        paths: picture files.
        name: name of the encoder.
        models: folder of the store with fine-tuned networks, if any.
        faces: options of the face detector, for encoders of faces.
        device: device for the networks: cpu, cuda, cuda:1.
        advance: callback for progress, called with the number of files.

    Raises:
        EncoderError: the encoder is unknown.
        WeightsError: the weights are not found.
    """
    with FileEmbedder(name, models=models, faces=faces, device=device) as embedder:
        return embedder(paths, advance)


def picture_files(paths: Sequence[Path | str]) -> list[Path | str]:
    """Expand folders to their pictures at any depth, and globs to their matches, in order.

    A path without files stays in the list, so that it gets a status.
    """
    found: list[Path | str] = []
    for path in paths:
        expanded: list[Path | str] = []
        if Path(path).is_dir():
            files = sorted(Path(path).rglob("*"))
            expanded = [file for file in files if file.suffix.lower() in _SUFFIXES and file.is_file()]
        elif isinstance(path, str) and glob.has_magic(path) and not Path(path).exists():
            expanded = [Path(name) for name in sorted(glob.glob(path, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        found += expanded or [path]
    return found


def read_file(path: Path) -> tuple[str, str, bytes]:
    """Read a file: (status, detail, bytes). Status: ok, missing, empty (also a folder without pictures), unreadable."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return "empty", "a folder without pictures", b""
        if not stat.S_ISREG(kind):
            return "unreadable", "neither a file nor a folder", b""
        return "ok", "", path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        return "missing", str(error), b""
    except OSError as error:
        return "unreadable", str(error), b""


class FileEmbedder(Closing):
    """`embed_files` with the network and the detector loaded once, for servers. Close it, or use it in a `with`."""

    def __init__(
        self,
        name: str,
        *,
        models: Path | None = None,
        faces: FaceSettings | None = None,
        device: str | None = None,
    ) -> None:
        self.encoder = encoder(name, models)
        self.settings = faces or FaceSettings()
        self._embedder = Embedder([self.encoder], choose(device), exact=False)
        self._detector = Detector(self.settings) if self.encoder.input == "face" else None

    def __call__(self, paths: Sequence[Path | str], advance: Callable[[int], None] = lambda _: None) -> list[Embedded]:
        answers: list[Embedded] = []
        width = self._embedder.device.batch
        for at in range(0, len(paths), width):
            prepared = [self._preprocess(Path(path)) for path in paths[at : at + width]]
            pictures = [made for _, made in prepared if made is not None]
            vectors = iter(self._embedder(pictures)[self.encoder.name])
            for answer, made in prepared:
                embedding = next(vectors) if made is not None else None
                if embedding is None or np.isfinite(embedding).all():
                    answers.append(Embedded(answer.path, answer.status, answer.detail, embedding))
                else:
                    answers.append(Embedded(answer.path, "bad_vector", "numbers that are not finite", None))
            advance(len(prepared))
        return answers

    def _preprocess(self, path: Path) -> tuple[Embedded, NDArray[np.uint8] | None]:
        """Status of a file, and the input of its network, uint8 (size, size, 3)."""
        status, detail, data = read_file(path)
        if status != "ok":
            return Embedded(path, status, detail, None), None
        photo = decode(data)
        if photo.pixels is None:
            return Embedded(path, photo.status, photo.detail, None), None
        try:
            faces = [] if self._detector is None else self._detector(photo.pixels)
        except DetectorFailed as failed:
            return Embedded(path, "detector_failed", str(failed), None), None
        faces = [face for face in faces if face.confidence >= self.settings.confidence]
        made = crop_for_encoder(self.encoder.backbone.input_spec, data, photo, faces)
        if made is None:
            status, detail = ("several_faces", f"{len(faces)} faces") if faces else ("no_face", "")
            return Embedded(path, status, detail, None), None
        return Embedded(path, "ok", "", None), made

    def close(self) -> None:
        if self._detector is not None:
            self._detector.close()

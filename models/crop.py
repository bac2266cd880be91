"""Find the best crop of a photo: score many crops with a trained head and return the one with the highest score.

    1. read      decode the photo, turn it upright, detect its faces
    2. propose   list crops of one shape that contain every face (features/faces/crop_windows.py)
    3. embed     compute the vector of each crop in batches; a face encoder gives the same vector for all
    4. choose    take the highest prediction; among equal predictions, the largest crop
    5. write     save the pixels of the original, if an output is given

The prediction of the best of hundreds of crops is biased upward, because the search also finds the model's errors.

Source: Karpathy, "What a deep neural network thinks about your #selfie" (crops).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import Image
from photogenic.features.compute.embed_files import picture_files, read_file
from photogenic.features.compute.preprocess import crop_for_encoder
from photogenic.features.encoders import device as devices
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.crop_windows import Box, box_with_margin, candidates
from photogenic.features.faces.detector import Detector, DetectorFailed, FaceSettings
from photogenic.features.images.decode import Decoded, decode, reduction
from photogenic.features.images.resize import center_crop
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import encoder_parts
from photogenic.models.heads.model import Model
from photogenic.models.runs import run_store
from photogenic.models.runs.input_check import check_encoders
from photogenic.models.runs.run_names import runnable
from photogenic.models.runs.run_selection import FACELESS, choose, reads_whole_photos
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["Cropped", "crop"]

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class Cropped:
    """The best crop of one photo.

    Attributes:
        x0, y0, x1, y1: corners of the best crop in pixels of the upright photo; x1 and y1 are exclusive.
        prediction: prediction for the whole photo.
        crop_prediction: prediction for the crop.
        n_candidates: number of crops that were scored.
        status: ok, a status of `predict`, or faces_do_not_fit: no crop of that shape contains all faces.
        output: path of the file that was written.
        run_id: id of the run that made the predictions.
        head, encoder, setup: head, encoder and setup of that run.
    """

    path: str
    x0: int | None
    y0: int | None
    x1: int | None
    y1: int | None
    prediction: float | None
    crop_prediction: float | None
    n_candidates: int
    status: str
    output: str | None = None
    run_id: str | None = None
    head: str | None = None
    encoder: str | None = None
    setup: str | None = None


def crop(
    store: Store,
    files: Sequence[str | Path],
    *,
    aspect: str = "1:1",
    smallest: float = 0.5,
    output: str | Path | None = None,
    run: str | None = None,
    target: str = "like_ratio",
    faces: FaceSettings | None = None,
    device: str | None = None,
) -> list[Cropped]:
    """Find the best crop of each picture; one result per picture, in order.

    Args:
        store: store with trained runs.
        files: picture files, folders and globs.
        aspect: shape of the crops as width:height, or `original`.
        smallest: smallest side of a crop as a share of the side of the largest crop.
        output: picture file for one photo, or folder for NAME-crop.jpg of each photo.
        run: run id, its beginning, or name, of a head on whole photos. None: the run of `target` that
            `models.runs.run_selection` chooses among such runs.
        target: target to predict: like_ratio, popular, or a column that a run was trained for.
        faces: face detector settings of the last build, if they were not the defaults.
        device: device for torch: cpu, cuda or cuda:1.

    Raises:
        InputError: the run does not exist, or the shape, size or output is invalid.
        EncoderError: the run was trained on vectors of another version of its encoder.
    """
    shape, files = _shape(aspect), picture_files(files)
    check(smallest=smallest)
    outputs = _outputs([Path(path) for path in files], output)
    settings = faces or FaceSettings()
    named = run if run is None else runnable(store.layout, store.database.frame, run)
    names = [named] if named is not None else _choose_runs(store, target, settings)
    asked = list(zip(map(Path, files), outputs, strict=True))

    def by(name: str, some: Sequence[tuple[Path, Path | None]]) -> list[Cropped]:
        """Crop with one run, whose networks are loaded once."""
        run, model = run_store.load(store.layout, name)
        check_encoders(run, settings, models=store.layout.models)
        if run.inputs:
            store.progress.note(
                f"Run {run.run_id} reads {', '.join(run.inputs)}, which a crop does not have: missing for all crops."
            )
        with contextlib.closing(_CropScorer(run.encoder, model, settings, device, store.layout.models)) as scorer:
            made = [scorer(path, shape, smallest, to) for path, to in some]
        return [replace(one, run_id=run.run_id, head=run.head, encoder=run.encoder, setup=run.setup) for one in made]

    found = by(names[0], asked)
    faceless = [at for at, one in enumerate(found) if one.status in FACELESS]
    if faceless and names[1:]:
        for at, other in zip(faceless, by(names[1], [asked[at] for at in faceless]), strict=True):
            found[at] = found[at] if other.status in FACELESS else other
    return found


class _CropScorer:
    """A head with its networks, loaded once."""

    def __init__(self, encoders: str, model: Model, settings: FaceSettings, device: str | None, models: Path) -> None:
        self._encoders = [encoder(name, models) for name in encoder_parts(encoders)]
        if all(e.input == "face" for e in self._encoders):
            raise InputError(
                f"{encoders} vectors are computed from the face alone, so they are the same for every crop.",
                "a head on an encoder of whole photos",
                "features train --encoder efficientnet_lite0, then features crop",
            )
        self._model, self._settings = model, settings
        self._n_inputs = model.dim - sum(e.dim for e in self._encoders)
        self._embedders = {e.name: Embedder([e], devices.choose(device), exact=False) for e in self._encoders}
        self._detector = Detector(settings)

    def close(self) -> None:
        self._detector.close()

    def __call__(self, path: Path, aspect: tuple[float, float] | None, smallest: float, output: Path | None) -> Cropped:
        status, _, data = read_file(path)
        photo = decode(data) if status == "ok" else None
        if photo is None or photo.pixels is None:
            return _without_crop(path, status if photo is None else photo.status)
        try:
            found = self._detector(photo.pixels)
        except DetectorFailed:
            return _without_crop(path, "detector_failed")
        seen = [face for face in found if face.confidence >= self._settings.confidence]
        whole = {e.name: crop_for_encoder(e.backbone.input_spec, data, photo, seen) for e in self._encoders}
        if any(made is None for made in whole.values()):
            return _without_crop(path, "several_faces" if seen else "no_face")
        factor = photo.width / photo.pixels.shape[1]
        keep = [box_with_margin(face.scaled(factor), photo.width, photo.height) for face in seen]
        boxes = candidates(photo.width, photo.height, aspect, keep, smallest=smallest)
        kind = _FORMATS[output.suffix.lower()] if output is not None else ""
        said = self._scores(whole, _all_pixels(photo, data), boxes, kind)
        if not boxes:
            return Cropped(str(path), None, None, None, None, float(said[0]), None, 0, "faces_do_not_fit")
        best = int(np.argmax(said[1:]))
        if output is not None:
            _write(output, data, boxes[best])
        to = None if output is None else str(output)
        return Cropped(str(path), *boxes[best], float(said[0]), float(said[1 + best]), len(boxes), "ok", to)

    def _scores(
        self, whole: dict[str, NDArray[np.uint8] | None], pixels: NDArray[np.uint8], boxes: Sequence[Box], kind: str
    ) -> Array:
        """Predict for the whole photo, then for each box as if it were a file of that kind."""
        parts = []
        for e in self._encoders:
            first = whole[e.name]
            assert first is not None
            pictures = [first] if e.input == "face" else [first, *(_crop_input(pixels, box, e, kind) for box in boxes)]
            X = self._embedders[e.name](pictures)[e.name]
            parts.append(np.repeat(X, 1 + len(boxes), 0) if e.input == "face" else X)
        missing = np.full((1 + len(boxes), self._n_inputs), np.nan, np.float32)  # no row of the store has a crop
        return self._model.predict(np.concatenate([*parts, missing], 1))


def _all_pixels(photo: Decoded, data: bytes) -> NDArray[np.uint8]:
    """Return all pixels of a photo that may have been decoded at a reduced size."""
    pixels = photo.pixels
    if pixels is None or pixels.shape[1] < photo.width:
        pixels = decode(data, min_side=None).pixels
    assert pixels is not None
    return pixels


def _crop_input(pixels: NDArray[np.uint8], box: Box, e: Encoder, kind: str) -> NDArray[np.uint8]:
    """Return the input of a whole-photo encoder for a crop: the same pixels as for a file that holds only the crop.

    A large JPEG is decoded at a reduced size, other formats are not. This changes the order of similar crops.
    """
    part = pixels[box.y0 : box.y1, box.x0 : box.x1]
    if kind == "JPEG" and (by := reduction(box.x1 - box.x0, box.y1 - box.y0, e.size)) > 1:
        part = np.array(Image.fromarray(np.ascontiguousarray(part)).reduce(by))
    return center_crop(part, e.size, e.backbone.crop_pct)


def _choose_runs(store: Store, target: str, settings: FaceSettings) -> list[str]:
    """Return the ids of the runs to ask, in order: chosen by the common rule among runs on whole photos."""
    if target == "gender":
        raise InputError("A crop cannot be chosen by gender.", "target like_ratio or popular", "--target like_ratio")
    fits = partial(check_encoders, faces=settings, models=store.layout.models)
    try:
        choice = choose(
            store.layout,
            store.database.frame,
            target,
            fits=fits,
            among=partial(reads_whole_photos, models=store.layout.models),
        )
    except InputError as error:
        raise InputError(
            f"No head for {target} on an encoder of whole photos was trained yet.",
            "a run on an encoder of whole photos",
            f"features train --target {target} --encoder efficientnet_lite0",
        ) from error
    for note in choice.notes:
        store.progress.note(note)
    return [choice.run.run_id, *([choice.fallback.run_id] if choice.fallback else [])]


def _shape(aspect: str) -> tuple[float, float] | None:
    if aspect == "original":
        return None
    with contextlib.suppress(ValueError):
        width, height = (float(part) for part in aspect.split(":"))
        if 0.1 <= width / (height or -1) <= 10 and width > 0:
            return width, height
    raise InputError(
        f"{aspect!r} is not a valid shape.", "WIDTH:HEIGHT between 1:10 and 10:1, or original", "--aspect 4:5"
    )


def _outputs(files: Sequence[Path], output: str | Path | None) -> list[Path | None]:
    """Return the output path of each crop.

    Raises:
        InputError: two crops have the same path, a crop would replace its photo, or the format is unknown.
    """
    if output is None:
        return [None] * len(files)
    output = Path(output)
    if output.suffix.lower() in _FORMATS and not output.is_dir():
        found = [output] * len(files)
    elif output.suffix and not output.is_dir():
        raise InputError(
            f"{output} is not a picture file.", f"one of {', '.join(_FORMATS)}, or a folder", "--output x.jpg"
        )
    else:
        found = [output / f"{path.stem}-crop.jpg" for path in files]
    if len(set(found)) < len(found):
        raise InputError(
            f"Several crops would go to {max(found, key=found.count)}.", "a name for each", "--output FOLDER"
        )
    for path in files:
        if path.resolve() in {to.resolve() for to in found}:
            raise InputError(f"The crop would replace {path}.", "another file", "--output FOLDER")
    return list(found)


def _without_crop(path: Path, status: str) -> Cropped:
    return Cropped(str(path), None, None, None, None, None, None, 0, status)


def _write(output: Path, data: bytes, box: Box) -> None:
    """Write the box at full resolution, without the metadata of the camera."""
    pixels = decode(data, min_side=None).pixels
    assert pixels is not None
    image = Image.fromarray(np.ascontiguousarray(pixels[box.y0 : box.y1, box.x0 : box.x1]))
    heap = io.BytesIO()
    kind = _FORMATS[output.suffix.lower()]
    image.save(heap, kind, **({} if kind == "PNG" else {"quality": 95}))
    write_atomically(output, heap.getvalue())

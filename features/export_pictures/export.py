"""Export pictures: the steps of `features export pictures`.

1. Look at the address: a former export, an unfinished one, or nothing.
2. Choose the photos: in the snapshot, readable, not deleted; those of a condition or of a training set.
3. Write the pictures that are not there: files of some hundred photos, or one file per picture.
4. Choose the photos again: who was erased or deleted meanwhile is left out, and step 3 is repeated.
5. Write the index, then the manifest.
6. Remove the files that the manifest does not name, also those of killed exports.

An export that is killed leaves the former one valid, and the next one uses the files that it has written.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from photogenic import __version__, sql
from photogenic._lazy import duckdb, pl
from photogenic.features.compute.preprocess import loader
from photogenic.features.decoded.formats import Form, Photo
from photogenic.features.decoded.manifest import (
    INDEX_SCHEMA,
    NAME,
    OWN_FILES,
    PictureManifest,
    read_index,
    read_manifest,
)
from photogenic.features.decoded.rule import PictureRule, decoders
from photogenic.features.encoders.device import torch_threads
from photogenic.features.encoders.registry import encoder
from photogenic.features.export_pictures.options import PictureOptions
from photogenic.features.export_pictures.written import Held, PhotoFiles, ShardFiles, Written
from photogenic.features.search.filters import labeled_photos
from photogenic.warehouse import EncoderError, InputError, Store
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.filesystems import Location, open_location
from photogenic.warehouse.storage.lock import locked

__all__ = ["PicturesExported", "export_pictures"]

_MOST_PASSES = 5


@dataclass(frozen=True, slots=True)
class PicturesExported:
    """One export of pictures.

    Attributes:
        address: the folder or address, without secrets.
        format: files, hdf5, webdataset or parquet.
        n_photos: photos with a picture there.
        n_written: photos whose picture was written by this export.
        n_removed: photos of the former export that are no longer there.
        n_left_out: photos that cannot be decoded.
        n_files: files with pictures.
        bytes: their size.
        state: written; unchanged: nothing had changed, and nothing was written.
    """

    address: str
    format: Form
    n_photos: int
    n_written: int
    n_removed: int
    n_left_out: int
    n_files: int
    bytes: int
    state: Literal["written", "unchanged"]


def export_pictures(
    store: Store, to: str, options: PictureOptions | None = None, *, photo_ids: Collection[str] | None = None
) -> PicturesExported:
    """Write the pictures of photos to a folder or an address, and remove those that are no longer wanted there.

    Args:
        store: the open store.
        to: folder or address of the export.
        options: options of the export; None: the defaults.
        photo_ids: photos of the training set of the options; None: all photos.

    Raises:
        InputError: the address cannot be used, or holds something else.
        EncoderError: the encoder is unknown, or takes faces.
        LockedError: another export to the same address runs.
        NetworkError: the connection to the object store broke.
        QueryError: the condition cannot be evaluated.
        StoreError: bytes of a photo are missing or damaged.
    """
    options = options or PictureOptions()
    rule, form = _rule(store, options), options.chosen_format
    place = open_location(to)
    _refuse_inside(store, place)
    name = hashlib.sha256(f"{place.kind} {place.path} {place.name}".encode()).hexdigest()[:32]
    locks = store.layout.export_locks
    locks.mkdir(parents=True, exist_ok=True)
    with locked(locks / name, f"features export pictures --to {place.name}", store.database.settings.lock_timeout_s):
        there = {entry.path: entry.bytes for entry in place.entries()}
        former = read_manifest(place)
        if former is None:
            _refuse_foreign(place, there)
        before = read_index(place, former) if former is not None else pl.DataFrame(schema=dict(INDEX_SCHEMA))
        versions = decoders() if rule is not None else {}
        fits = former is not None and (former.form, former.rule, former.decoders) == (form, rule, versions)
        held = Held.of(before if fits else before.clear(), there)
        files = _files(store, place, form, rule, there)
        with torch_threads(1):
            written, n_written = _write(store, options, photo_ids, files, held)
        goal = PictureManifest(form, rule, versions, former.index if fits and former is not None else "")
        return _publish(place, written, goal, before, n_written=n_written, index_form=options.index)


def _rule(store: Store, options: PictureOptions) -> PictureRule | None:
    if options.encoder is not None:
        chosen = encoder(options.encoder, store.layout.models)
        rule = PictureRule.of_input(chosen.backbone.input_spec)
        if rule is None:
            raise EncoderError(
                f"{options.encoder} takes faces, which are cropped from decoded photos.",
                "an encoder of whole photos",
                "features export pictures --to ADDRESS --encoder efficientnet_lite0",
            )
        return PictureRule.of_training(chosen.backbone) if options.margin else rule
    if options.size is None:
        return None
    crop: Literal["centre", "squashed"] = "squashed" if options.crop == "squashed" else "centre"
    return PictureRule.of_size(options.size, crop, 1.0 if options.share is None else options.share)


def _files(
    store: Store, place: Location, form: Form, rule: PictureRule | None, there: Mapping[str, int]
) -> PhotoFiles | ShardFiles:
    load, n_threads = loader(store.layout), store.database.settings.threads
    if form == "files":
        return PhotoFiles(place, load, there, n_threads)
    return ShardFiles(place, load, there, n_threads=n_threads, form=form, rule=rule)


def _refuse_inside(store: Store, place: Location) -> None:
    """Raise:
    InputError: the address is inside the store.
    """
    if place.kind != "local":
        return
    root, target = store.layout.root.resolve(), Path(place.path).resolve()
    if target == root or root in target.parents:
        raise InputError(
            f"{place.name} is inside the store.",
            "a folder outside of it: exports are copies that erase does not reach",
            "features export pictures --to ../pictures",
        )


def _refuse_foreign(place: Location, there: Iterable[str]) -> None:
    """Raise:
    InputError: the folder holds something that no export of pictures wrote.
    """
    foreign = next((path for path in sorted(there) if OWN_FILES.fullmatch(path) is None), None)
    if foreign is not None:
        raise InputError(
            f"{place.name} holds something else: {foreign[:200]}.",
            "an empty folder, a new one, or one with an export of pictures",
            f"features export pictures --to {place.name.rstrip('/')}/pictures",
        )


def _chosen(store: Store, options: PictureOptions, photo_ids: Collection[str] | None) -> list[Photo]:
    """Step 2, on the newest snapshot."""
    with store.database.read() as con:
        found = _frame(con, f"from ({sql.read('features/photos_to_export')}) as photos")
        gone = _frame(con, sql.read("features/deleted_now"))
        found = found.join(gone, on="photo_id", how="anti", maintain_order="left")
        if options.where is not None:
            require_labels(con)
            matching = labeled_photos(con, options.where).select("photo_id")
            found = found.join(matching, on="photo_id", how="semi", maintain_order="left")
    if photo_ids is not None:
        wanted = pl.DataFrame({"photo_id": sorted(photo_ids)}, schema={"photo_id": pl.String})
        found = found.join(wanted, on="photo_id", how="semi", maintain_order="left")
    return [Photo(*row) for row in found.sort("photo_id").iter_rows()]


def _frame(con: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    found: pl.DataFrame = con.sql(query).pl()
    return found


def _write(
    store: Store,
    options: PictureOptions,
    photo_ids: Collection[str] | None,
    files: PhotoFiles | ShardFiles,
    held: Held,
) -> tuple[Written, int]:
    """Steps 2 to 4. Return what is valid, and the number of photos that were written."""
    photos, n_written = _chosen(store, options, photo_ids), 0
    for _ in range(_MOST_PASSES):
        n_written += _write_pending(store, files, photos, held)
        again = _chosen(store, options, photo_ids)
        if again == photos:
            break
        photos = again
    else:  # photos keep coming: they wait for the next export, and those that went are left out
        photos = [photo for photo in photos if photo in held.rows]
        n_written += _write_pending(store, files, photos, held)
    return files.valid(photos, held), n_written


def _write_pending(store: Store, files: PhotoFiles | ShardFiles, photos: list[Photo], held: Held) -> int:
    pending = files.pending(photos, held)
    if not pending.n:
        return 0
    with store.progress.stage("pictures", pending.n, "photos") as advance:
        return files.write(pending, held, advance)


def _publish(
    place: Location,
    written: Written,
    goal: PictureManifest,
    before: pl.DataFrame,
    *,
    n_written: int,
    index_form: Literal["parquet", "csv"],
) -> PicturesExported:
    """Steps 5 and 6. `goal` has the index of a former export that is continued, and `before` the rows of any."""
    index, form = written.index, goal.form
    content = io.BytesIO()
    if index_form == "csv":
        index.write_csv(content)
    else:
        index.write_parquet(content, compression="zstd")
    index_name = f"index-{hashlib.sha256(content.getvalue()).hexdigest()[:16]}.{index_form}"
    n_photos = int((index["status"] == "ok").sum())
    unchanged = goal.index == index_name
    if not unchanged:
        manifest = replace(
            goal,
            index=index_name,
            n_photos=n_photos,
            n_left_out=len(index) - n_photos,
            made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        (place / index_name).write_bytes(content.getvalue())
        (place / NAME).write_bytes(manifest.data())
    valid = {index_name, *written.files}
    place.remove_unfinished()
    for entry in place.entries():
        if entry.path not in valid and OWN_FILES.fullmatch(entry.path):
            (place / entry.path).remove()
    left = before.join(index, on="photo_id", how="anti")
    return PicturesExported(
        *(place.name, form, n_photos, n_written, len(left), len(index) - n_photos),
        *(len(written.files), sum(written.files.values())),
        "unchanged" if unchanged else "written",
    )

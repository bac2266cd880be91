"""The manifest of exported pictures, which is written last: what made them, and the files that are valid.

    ADDRESS/pictures.json                   this manifest
    ADDRESS/index-0a1b2c....parquet         one row per photo: ids, size, status, file and place of its picture
    ADDRESS/shards/pictures-4d5e....tar     the pictures, some hundred per file; or
    ADDRESS/photos/ab/abcd....jpg           the bytes as received, one file per picture

Names of files are digests of what is in them, so a file never changes: an export writes new ones, then the manifest,
and removes the others afterwards. A reader of the manifest sees the state before or after it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from photogenic._lazy import pa, pl
from photogenic.features.decoded.formats import SUFFIXES, Form
from photogenic.features.decoded.rule import PictureRule
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.filesystems import Location
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    dump_with_digest,
    load_with_digest,
    to_dataclass,
)

__all__ = ["INDEX_SCHEMA", "NAME", "OWN_FILES", "SHARDS", "PictureManifest", "read_index", "read_manifest"]

NAME = "pictures.json"
SHARDS = "shards"

OWN_FILES = re.compile(
    r"index-[0-9a-f]{16}\.(parquet|csv)|shards/pictures-[0-9a-f]{16}\.(h5|tar|parquet)"
    r"|photos/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z]{3,4}"
)
"""Names of the files of an export. Only these are ever removed."""

INDEX_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "photo_id": pl.String,
    "user_id": pl.String,
    "sha256": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "status": pl.String,
    "file": pl.String,
    "place": pl.Int64,
    "n_bytes": pl.Int64,
    "crc32": pl.Int64,
}
"""Columns of the index. `file` is NULL where the status is not ok: the photo cannot be decoded."""

_MOST_MANIFEST, _MOST_INDEX = 64 << 20, 4 << 30


@dataclass(frozen=True, slots=True)
class PictureManifest:
    """What an export of pictures wrote.

    Attributes:
        form: files, hdf5, webdataset or parquet.
        rule: how photos became pictures; None: the files hold the bytes as received.
        decoders: versions of what decoded them; empty without a rule.
        index: name of the file of the index.
        n_photos: photos with a picture.
        n_left_out: photos that cannot be decoded.
        made_at: when it was written, in UTC.
        version: version of Photogenic.
        kind: marks the manifest.
    """

    form: Form
    rule: PictureRule | None
    decoders: dict[str, str]
    index: str
    n_photos: int = 0
    n_left_out: int = 0
    made_at: str = ""
    version: str = ""
    kind: Literal["photogenic pictures"] = "photogenic pictures"

    def data(self) -> bytes:
        """The content of the file."""
        return dump_with_digest(asdict(self))

    @property
    def suffix(self) -> str:
        """Suffix of the files with pictures."""
        return SUFFIXES[self.form]


def read_manifest(place: Location) -> PictureManifest | None:
    """Read the manifest of a folder; None: there is none.

    Raises:
        StoreError: it is damaged, or something else.
        InputError, NetworkError: it cannot be read.
    """
    file = place / NAME
    if file.find() is None:
        return None
    data = file.read_bytes(_MOST_MANIFEST)
    try:
        manifest = to_dataclass(PictureManifest, load_with_digest(data))
        checked_file_name(manifest.index)
        if OWN_FILES.fullmatch(manifest.index) is None:
            raise ValueError(f"the index has the name {manifest.index[:80]!a}")
    except ValueError as error:
        raise StoreError(
            f"{file.name} is damaged: {error}",
            "a manifest that features export pictures wrote",
            "remove that file and export the pictures again",
        ) from error
    return manifest


def read_index(place: Location, manifest: PictureManifest) -> pl.DataFrame:
    """Read the index: one row per photo, with the columns of `INDEX_SCHEMA`.

    Raises:
        StoreError: it is damaged.
        InputError, NetworkError: it cannot be read; an export may have replaced it meanwhile.
    """
    file = place / manifest.index
    with file.read() as stream:
        data = stream.read(_MOST_INDEX)
    try:
        if manifest.index.endswith(".csv"):
            found = pl.read_csv(data, schema_overrides=dict(INDEX_SCHEMA))
        else:
            found = pl.read_parquet(io.BytesIO(data))
        if dict(found.schema) != {name: kind() for name, kind in INDEX_SCHEMA.items()}:
            raise ValueError("it has other columns")
        names = found["file"].drop_nulls().unique()
        if wrong := [name for name in names if OWN_FILES.fullmatch(name) is None]:
            raise ValueError(f"it names the file {wrong[0][:80]!a}")
    except (pl.exceptions.PolarsError, pa.ArrowException, ValueError, OSError) as error:
        raise _damaged_index(file, error) from error
    return found


def _damaged_index(file: Location, error: Exception) -> InputError:
    return InputError(
        f"{file.name} is damaged: {str(error)[:200]}",
        "an index that features export pictures wrote",
        "export the pictures again",
    )

"""Files that hold the pictures of an export: some thousand photos each, with their ids.

    HDF5         pixels uint8 (n, size, size, 3), photo_id, user_id, sha256, width, height
    WebDataset   a tar: 000000.npy or .jpg, 000000.json with the ids, 000001.npy, ...
    Parquet      photo_id, user_id, sha256, width, height, and pixels (size * size * 3 bytes) or bytes

`write` makes a file, and `scan` lists what is in it; the place of a picture is what `Shard.read` takes.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol

import numpy as np

from photogenic._lazy import pa, pq
from photogenic.ingest.images.image_format import HEAD, detect_format
from photogenic.warehouse.errors import MissingPartError

__all__ = ["SUFFIXES", "Form", "Photo", "Picture", "Shard", "open_shard", "scan", "suffix_of", "write"]

Form = Literal["files", "hdf5", "webdataset", "parquet"]

SUFFIXES: dict[Form, str] = {"hdf5": ".h5", "webdataset": ".tar", "parquet": ".parquet"}

_ROWS_A_GROUP = 16
"""Pictures per row group of Parquet: what a reader of one picture reads."""

_NAMES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif", "AVIF": ".avif"}


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo to export. `width` and `height` are those of the upright original, in pixels."""

    photo_id: str
    user_id: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in a file.

    Attributes:
        place: number of the row in HDF5 and Parquet; offset of the content in a tar.
        n_bytes: size of the pixels, or of the bytes.
        crc32: CRC-32 of them.
    """

    photo_id: str
    sha256: str
    place: int
    n_bytes: int
    crc32: int


class Shard(Protocol):
    """An open file of pictures, for one thread at a time."""

    def read(self, place: int, n_bytes: int) -> bytes:
        """Return the pixels or bytes at a place."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def suffix_of(data: bytes) -> str:
    """The suffix of a file name for the bytes of a photo, by their content."""
    return _NAMES.get(detect_format(data[:HEAD]) or "", ".bin")


def write(file: IO[bytes], form: Form, rows: Iterable[tuple[Photo, bytes]], size: int | None) -> list[Picture]:
    """Write pictures into a file, and list them with their places.

    Args:
        file: a new binary file. HDF5 seeks in it.
        form: hdf5, webdataset or parquet.
        rows: photos with their pixels, uint8 (size, size, 3), as bytes; or with their bytes as received.
        size: side of the pictures in pixels; None: bytes as received.

    Raises:
        MissingPartError: h5py is not installed.
    """
    if form == "hdf5":
        assert size is not None
        return _write_hdf5(file, rows, size)
    return _write_tar(file, rows, size) if form == "webdataset" else _write_parquet(file, rows, size)


def scan(file: IO[bytes], form: Form) -> list[Picture]:
    """List the pictures in a file, as `write` did.

    Raises:
        OSError, ValueError, KeyError: it is not such a file.
    """
    if form == "webdataset":
        return list(_scan_tar(file))
    ids: list[tuple[str, str]]
    if form == "hdf5":
        with _h5py().File(file, "r") as opened:
            ids = [(_text(one), _text(two)) for one, two in zip(opened["photo_id"], opened["sha256"], strict=True)]
            contents = [opened["pixels"][place].tobytes() for place in range(len(ids))]
    else:
        table = pq.read_table(file, columns=["photo_id", "sha256"])
        ids = list(zip(table["photo_id"].to_pylist(), table["sha256"].to_pylist(), strict=True))
        shard = _ParquetShard(file)
        contents = [shard.read(place, -1) for place in range(len(ids))]
    return [
        Picture(photo_id, sha256, place, len(content), zlib.crc32(content))
        for place, ((photo_id, sha256), content) in enumerate(zip(ids, contents, strict=True))
    ]


def open_shard(file: IO[bytes], form: Form) -> Shard:
    """Open a file of pictures.

    Raises:
        MissingPartError: h5py is not installed.
        OSError, ValueError, KeyError: it is not such a file.
    """
    if form == "hdf5":
        return _Hdf5Shard(file)
    return _TarShard(file) if form == "webdataset" else _ParquetShard(file)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingPartError(
            "h5py is not installed, which reads and writes HDF5.",
            "the extra hdf5, or pictures as webdataset or parquet",
            "pip install 'photogenic[hdf5]'",
        ) from error
    return h5py


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _write_hdf5(file: IO[bytes], rows: Iterable[tuple[Photo, bytes]], size: int) -> list[Picture]:
    h5py, done, photos = _h5py(), list[Picture](), list[Photo]()
    with h5py.File(file, "w") as opened:
        pixels = opened.create_dataset(
            "pixels", (0, size, size, 3), np.uint8, maxshape=(None, size, size, 3), chunks=(1, size, size, 3)
        )
        for place, (photo, content) in enumerate(rows):
            pixels.resize(place + 1, axis=0)
            pixels[place] = np.frombuffer(content, np.uint8).reshape(size, size, 3)
            photos.append(photo)
            done.append(Picture(photo.photo_id, photo.sha256, place, len(content), zlib.crc32(content)))
        for name in ("photo_id", "user_id", "sha256"):
            texts = np.array([getattr(photo, name) for photo in photos], dtype=object)
            opened.create_dataset(name, data=texts, dtype=h5py.string_dtype())
        for name in ("width", "height"):
            opened.create_dataset(name, data=np.array([getattr(photo, name) for photo in photos], np.int32))
    return done


class _Hdf5Shard:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._opened = _h5py().File(file, "r")
        self._pixels = self._opened["pixels"]

    def read(self, place: int, n_bytes: int) -> bytes:  # noqa: ARG002  a tar needs it
        found: bytes = self._pixels[place].tobytes()
        return found

    def close(self) -> None:
        self._opened.close()
        self._file.close()


def _write_tar(file: IO[bytes], rows: Iterable[tuple[Photo, bytes]], size: int | None) -> list[Picture]:
    done = list[Picture]()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (photo, content) in enumerate(rows):
            if size is None:
                suffix, head = suffix_of(content), b""
            else:
                suffix, head = ".npy", _npy_header(size)
            _add(tar, f"{number:06}{suffix}", head + content)
            end = tar.offset  # behind the content and its padding
            place = end - _padded(len(head) + len(content)) + len(head)
            done.append(Picture(photo.photo_id, photo.sha256, place, len(content), zlib.crc32(content)))
            facts = {name: getattr(photo, name) for name in ("photo_id", "user_id", "sha256", "width", "height")}
            _add(tar, f"{number:06}.json", json.dumps(facts).encode())
    return done


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _padded(n: int) -> int:
    return -(-n // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _npy_header(size: int) -> bytes:
    """The beginning of a .npy file of uint8 (size, size, 3)."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (size, size, 3)})
    return head.getvalue()


def _scan_tar(file: IO[bytes]) -> Iterator[Picture]:
    held: tuple[int, int, int] | None = None
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            opened = tar.extractfile(member)
            if opened is None:
                raise ValueError(f"{member.name[:80]!a} is not a file")
            content = opened.read()
            if not member.name.endswith(".json"):
                n_head = _n_head(content) if member.name.endswith(".npy") else 0
                body = content[n_head:]
                held = member.offset_data + n_head, len(body), zlib.crc32(body)
            elif held is not None:
                facts = json.loads(content)
                yield Picture(facts["photo_id"], facts["sha256"], *held)
                held = None


def _n_head(content: bytes) -> int:
    """Size of the header of a .npy file."""
    opened = io.BytesIO(content)
    np.lib.format.read_magic(opened)
    np.lib.format.read_array_header_1_0(opened)
    return opened.tell()


class _TarShard:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, place: int, n_bytes: int) -> bytes:
        self._file.seek(place)
        return self._file.read(n_bytes)

    def close(self) -> None:
        self._file.close()


def _write_parquet(file: IO[bytes], rows: Iterable[tuple[Photo, bytes]], size: int | None) -> list[Picture]:
    content_type = pa.binary() if size is None else pa.binary(size * size * 3)
    name = "bytes" if size is None else "pixels"
    schema = pa.schema(
        [
            *((text, pa.string()) for text in ("photo_id", "user_id", "sha256")),
            *((number, pa.int32()) for number in ("width", "height")),
            (name, content_type),
        ]
    )
    done, waiting = list[Picture](), list[tuple[Photo, bytes]]()
    # Pixels and JPEGs hardly shrink, and a reader of one picture would unpack sixteen.
    packing = {column.name: "none" if column.name == name else "zstd" for column in schema}
    with pq.ParquetWriter(file, schema, compression=packing, use_dictionary=False, write_statistics=False) as writer:
        for photo, content in rows:
            done.append(Picture(photo.photo_id, photo.sha256, len(done), len(content), zlib.crc32(content)))
            waiting.append((photo, content))
            if len(waiting) == _ROWS_A_GROUP:
                writer.write_table(_table(schema, waiting))
                waiting.clear()
        if waiting:
            writer.write_table(_table(schema, waiting))
    return done


def _table(schema: pa.Schema, rows: Sequence[tuple[Photo, bytes]]) -> pa.Table:
    columns = [pa.array([getattr(photo, field.name) for photo, _ in rows], field.type) for field in list(schema)[:-1]]
    content = pa.array([content for _, content in rows], schema.field(len(schema) - 1).type)
    return pa.Table.from_arrays([*columns, content], schema=schema)


class _ParquetShard:
    def __init__(self, file: IO[bytes]) -> None:
        self._opened = pq.ParquetFile(file)
        names = self._opened.schema_arrow.names
        self._name = "pixels" if "pixels" in names else "bytes"
        metadata, starts = self._opened.metadata, [0]
        for group in range(metadata.num_row_groups):
            starts.append(starts[-1] + metadata.row_group(group).num_rows)
        self._starts = np.asarray(starts)
        self._held: tuple[int, Any] = -1, None

    def read(self, place: int, n_bytes: int) -> bytes:  # noqa: ARG002  a tar needs it
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        if self._held[0] != group:
            self._held = group, self._opened.read_row_group(group, columns=[self._name]).column(0)
        found: bytes = self._held[1][place - int(self._starts[group])].as_py()
        return found

    def close(self) -> None:
        self._opened.close()

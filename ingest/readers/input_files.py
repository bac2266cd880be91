"""Find the files that the user named: files, folders, globs, stdin and pipes, as files that can be read repeatedly.

A stream is first copied into the store's folder for temporary files, one block at a time: rows are read more than
once, and the digest of the bytes is needed. The system's file names are bytes; what is printed and stored is one line
of UTF-8, with escapes for everything else.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shlex
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from photogenic._lazy import pa, pq
from photogenic.ingest.readers.folders import Partition, list_folder, partitions
from photogenic.ingest.readers.formats import FORMATS
from photogenic.ingest.sources.arrow_frame import ArrowFrame
from photogenic.ingest.sources.positions import Position
from photogenic.warehouse import InputError, StoreError

__all__ = ["AbsentError", "InputFile", "Spool", "find", "openable", "printable_name", "shell_quoted"]

_STDIN = {"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_BLOCK = 1 << 20
_PATTERN = set("*?[]{}\\")


class AbsentError(InputError):
    """There is no file of this name, or none that a glob matches."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file or frame to read.

    Attributes:
        path: path to open; of a frame, nothing lies there.
        name: name to print and store.
        folder: folder that the paths of pictures are relative to, unless another one is given.
        is_stream: whether it came through a pipe or stdin, so that its name does not show its format.
        partitions: columns in the names of its folders, below the folder or the glob that the user named.
        notes: what the account says besides the counts.
        positions: how far its source has been read once its rows are loaded; written in their transaction.
        is_messages: whether it is a file of `readers.message_records`: the messages of a stream.
        is_lenient: of such a file, whether it may lack columns, which refuses its messages one by one.
        frame: the rows, if they lie in memory.
        digest: digest of the content, if it is not that of the bytes of the file.
    """

    path: Path
    name: str
    folder: Path
    is_stream: bool = False
    partitions: tuple[Partition, ...] = ()
    notes: tuple[str, ...] = ()
    positions: tuple[Position, ...] = ()
    is_messages: bool = False
    is_lenient: bool = False
    frame: ArrowFrame | None = None
    digest: str | None = None


class Spool:
    """Copies of streams and converted files, which exist as long as the context.

    Args:
        folder: folder of the copies; created when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._held = folder, contextlib.ExitStack()

    def __enter__(self) -> Spool:
        return self

    @property
    def folder(self) -> Path:
        """Folder of the copies."""
        return self._folder

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the copies."""
        self._held.close()

    def file(self, name: str) -> tuple[BinaryIO, Path]:
        """A new file that exists as long as the context, and its path.

        Args:
            name: name of what it is a copy of, for messages.

        Raises:
            StoreError: it cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number, text = tempfile.mkstemp(prefix="stream-", dir=self._folder)
        except OSError as error:
            raise _no_space_error(name, self._folder, error) from error
        copy, path = self._held.enter_context(os.fdopen(number, "wb")), Path(text)
        opened = Path(f"/proc/self/fd/{number}")
        if opened.exists():  # a file without a name disappears with the process
            path.unlink()
            path = opened
        else:
            self._held.callback(path.unlink, missing_ok=True)
        return copy, path

    def table(self, reader: pa.RecordBatchReader, name: str) -> Path:
        """Write a stream of Arrow batches into a Parquet file, and return the file's path.

        Args:
            reader: the stream; errors of reading it are those of its source, and pass.
            name: name of what is written, for messages.

        Raises:
            StoreError: there is no space for it.
        """
        copy, path = self.file(name)
        with pq.ParquetWriter(copy, reader.schema, **_fast(reader.schema)) as writer:
            for batch in reader:
                try:
                    writer.write_batch(batch)
                except OSError as error:
                    raise _no_space_error(name, self._folder, error) from error
        copy.flush()
        return path

    def copy(self, stream: BinaryIO, name: str) -> Path:
        """Copy a stream into a file, and return the file's path.

        Raises:
            InputError: the stream cannot be read.
            StoreError: there is no space for the copy.
        """
        copy, path = self.file(name)
        while data := _read(stream, name):
            self.write(copy, data, name)
        self.write(copy, b"", name)
        return path

    def write(self, copy: BinaryIO, data: bytes, name: str) -> None:
        """Append to a new file; without data, bring what was appended to the disk's cache.

        Raises:
            StoreError: there is no space for it.
        """
        try:
            copy.write(data) if data else copy.flush()
        except OSError as error:
            raise _no_space_error(name, self._folder, error) from error


def _fast(schema: pa.Schema) -> dict[str, Any]:
    """Options of a Parquet file that is read once: a third of the processor time of the defaults, and less room.

    Numbers that grow, such as times, are written as differences; a dictionary pays for texts only.
    """
    is_text = [pa.types.is_string(field.type) or pa.types.is_large_string(field.type) for field in schema]
    grows = {
        field.name: "DELTA_BINARY_PACKED"
        for field in schema
        if pa.types.is_timestamp(field.type) or pa.types.is_int64(field.type) or pa.types.is_date32(field.type)
    }
    texts = [field.name for field, is_one in zip(schema, is_text, strict=True) if is_one]
    names = schema.names
    if len(set(names)) < len(names) or any("." in name for name in names):  # names are paths in these options
        return {"compression": "lz4", "use_dictionary": False}
    return {"compression": "lz4", "use_dictionary": texts, **({"column_encoding": grows} if grows else {})}


def find(sources: Sequence[str | Path], spool: Spool) -> list[InputFile]:
    """Find the named files: an existing file or folder of that name, else the matches of a glob; each file once.

    Args:
        sources: names of files and folders, or globs; `-` is stdin.
        spool: copies of stdin and pipes.

    Raises:
        InputError: no file was found.
    """
    if not sources:
        raise InputError("No file was named.", "one or more files or globs", "features ingest --help")
    found: dict[str | Path, InputFile] = {}
    for source in sources:
        if not isinstance(source, str | os.PathLike):
            raise InputError(
                f"A file is a {type(source).__name__}.", "the name of a file: str or Path", "write it as Parquet first"
            )
        if source == "-" or str(source) in _STDIN - {"-"}:
            if "-" not in found:
                found["-"] = InputFile(spool.copy(_stdin(), "stdin"), "stdin", Path(), is_stream=True)
            continue
        path = Path(source)
        mode = _mode(path)
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            if path not in found:
                with _opened(path) as stream:
                    found[path] = InputFile(
                        spool.copy(stream, printable_name(path)), printable_name(path), path.parent, is_stream=True
                    )
            continue
        if stat.S_ISDIR(mode):
            for listed in _of_folder(path):
                found.setdefault(listed.path, listed)
            continue
        if mode and not stat.S_ISREG(mode):
            raise InputError(
                f"{printable_name(path)} is a device.", "a file, a pipe, or - for stdin", "features ingest --help"
            )
        files = [path] if mode else [Path(name) for name in _matches(str(source)) if os.path.isfile(name)]  # noqa: PTH113
        if not files:
            what = "No file matches" if glob.has_magic(str(source)) else "There is no file"
            raise AbsentError(
                f"{what} '{printable_name(source)}'.", "an existing file", f"ls {shell_quoted(path.parent)}"
            )
        base = len(path.parts) if mode else _n_fixed_parts(str(source))
        for file in files:
            columns = partitions(file.parent.parts[base:])
            found.setdefault(file, InputFile(file, printable_name(file), file.parent, partitions=columns))
    return list(found.values())


@contextlib.contextmanager
def openable(path: Path) -> Iterator[Path]:
    """A path to the same file that DuckDB and Arrow can open: UTF-8, without characters of a glob."""
    if _is_utf8(str(path)) and not _PATTERN & set(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="photogenic-") as folder:
        link = Path(folder, "given")
        link.symlink_to(path.absolute())
        yield link


def printable_name(path: str | Path) -> str:
    """A file name as one line of UTF-8, with escapes for other bytes and for control characters."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(char.encode("unicode_escape").decode() if _is_control(char) else char for char in text)


def shell_quoted(path: str | Path) -> str:
    """A file name, quoted for a shell."""
    text = str(path)
    if _is_utf8(text) and not any(map(_is_control, text)):
        return shlex.quote(text)
    octets = os.fsencode(text)
    return "$'" + "".join(chr(n) if 32 <= n < 127 and n not in b"'\\" else f"\\x{n:02x}" for n in octets) + "'"


def _of_folder(folder: Path) -> list[InputFile]:
    """The files of a folder. What is left out stands in the notes of the first one.

    Raises:
        InputError: there is no file that can be read, or a part of the folder may not be read.
    """
    try:
        listing = list_folder(folder)
    except OSError as error:
        raise _read_error(printable_name(error.filename or folder), error) from error
    notes = list[str]()
    for paths, what in (
        (listing.unknown, "of another format"),
        (listing.outside, "links that lead out of the folder or nowhere"),
    ):
        if paths:
            names = ", ".join(printable_name(path.relative_to(folder)) for path in sorted(paths)[:3])
            notes.append(f"left out, {what}: {names}{f' and {len(paths) - 3:,} more' if len(paths) > 3 else ''}")
    if listing.table is not None:
        table = printable_name(listing.table)
        raise InputError(
            f"The folder {printable_name(folder)} holds a table of Delta Lake, {table}.",
            "the folder of the table itself: its files also hold rows that it has replaced",
            f"features ingest KIND {shell_quoted(listing.table)}",
        )
    if not listing.files:
        raise AbsentError(
            "; ".join([f"The folder {printable_name(folder)} holds no file that can be read", *notes]) + ".",
            FORMATS,
            f"find {shell_quoted(folder)} | head",
        )
    n = len(folder.parts)
    return [
        InputFile(
            *(path, printable_name(path), path.parent),
            partitions=partitions(path.parent.parts[n:]),
            notes=() if at else tuple(notes),
        )
        for at, path in enumerate(listing.files)
    ]


def _n_fixed_parts(pattern: str) -> int:
    """The number of folders before the first wildcard of a glob."""
    parts = Path(pattern).parts
    return next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))


def _matches(pattern: str) -> list[str]:
    """The matches of a glob. Without a match, existing folders are taken by their name: `a[1]/*.csv`."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    folder, name = os.path.split(pattern)
    while not found and folder not in {"", os.sep}:
        if os.path.isdir(folder):  # noqa: PTH112
            return sorted(glob.glob(os.path.join(glob.escape(folder), name), recursive=True))  # noqa: PTH118, PTH207
        folder, part = os.path.split(folder)
        name = os.path.join(part, name)  # noqa: PTH118
    return found


def _mode(path: Path) -> int:
    """The file mode of a path; 0 if there is none.

    Raises:
        InputError: the path may not be read.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            return 0
        raise _read_error(printable_name(path), error) from error


def _opened(path: Path) -> BinaryIO:
    number = _DESCRIPTOR.fullmatch(str(path))
    try:
        return os.fdopen(os.dup(int(number[1])), "rb") if number else path.open("rb")
    except OSError as error:
        raise _read_error(printable_name(path), error) from error


def _stdin() -> BinaryIO:
    stream = sys.stdin
    if stream is None or stream.closed:
        raise InputError("stdin is closed.", "rows on stdin, or a file", "features ingest users - < USERS.csv")
    if stream.isatty():
        raise InputError("stdin is a terminal.", "rows through a pipe", "features ingest users - < USERS.csv")
    return stream.buffer


def _read(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(_BLOCK)
    except OSError as error:
        raise _read_error(name, error) from error


def _read_error(name: str, error: OSError) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror or error}.", "a readable file", "ls -l, or another file")


def _no_space_error(name: str, folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{name} cannot be copied into {folder}: {error.strerror or error}",
        "a writable folder with room for what comes through a pipe",
        f"df -h {folder}, or a file in place of the pipe",
    )


def _is_control(char: str) -> bool:
    """Whether the character is a control character, or ends a line or a paragraph."""
    return unicodedata.category(char) in {"Cc", "Zl", "Zp"}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Read objects of object stores as files: one object, those of a folder, or the matches of a glob.

    s3://bucket/swipes/2024.parquet            one object
    s3://bucket/swipes                         all below it that can be read; `month=2024-05` is a column
    s3://bucket/swipes/month=*/*.parquet       a glob; `**` are any folders

Each object is copied into the store's spill folder. The copy counts only if it is whole: it has the size that the
server said, its MD5 where the ETag is one, and the object was the same before and after.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from photogenic.ingest.download.file_limits import raise_limit
from photogenic.ingest.readers.folders import partitions
from photogenic.ingest.readers.formats import FORMATS, by_content, has_known_name
from photogenic.ingest.readers.input_files import AbsentError, InputFile, Spool
from photogenic.ingest.sources.remote import RemoteFile
from photogenic.ingest.sources.web import fetch_file, web_file
from photogenic.warehouse import InputError
from photogenic.warehouse.filesystems import Entry, Location, open_location, printable_address

if TYPE_CHECKING:
    from photogenic.ingest.options import SourceOptions

__all__ = ["list_objects", "open_all", "open_source"]

_AT_ONCE = 8
"""Objects that are copied at the same time."""

_SPARE_FILES = 256
_BLOCK = 4 << 20
_MAGIC = re.compile(r"[*?[]")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_FRESH = dt.timedelta(seconds=5)


def open_source(given: str, spool: Spool, options: SourceOptions) -> list[InputFile]:  # noqa: ARG001
    """Copy the objects of an address, and return the copies in the order of their names.

    Raises:
        InputError: there is no such object, it may not be read, or it changed while it was read.
        NetworkError: the server cannot be reached, or the connection broke.
    """
    return open_all(list_objects(given), spool)


def list_objects(address: str) -> list[RemoteFile]:
    """List the objects of an address that can be read as files, sorted by name. A web server cannot be listed.

    The state of an object that was changed in the last seconds says so: it may still change within the same second.

    Raises:
        InputError: there is none, or they may not be listed.
        NetworkError: the server cannot be reached.
    """
    if address.partition("://")[0].lower() in {"http", "https"}:
        return [web_file(address)]
    base = open_location(address)
    key = base.path.partition("/")[2]
    if key and not address.endswith("/"):
        found = base.find()
        if found is not None:
            return [_remote(base, found)]
    magic = next((at for at, part in enumerate(key.split("/")) if _MAGIC.search(part)), None)
    if magic is None:
        return _in_folder(base)
    folder = base.above(len(key.split("/")) - magic)
    pattern = _glob("/".join(key.split("/")[magic:]))
    matches = [entry for entry in folder.entries() if pattern.fullmatch(entry.path) and not _why_unreadable(entry.path)]
    if not matches:
        raise AbsentError(f"No object matches '{base.name}'.", "an existing object", f"list {folder.name}/")
    return [_remote(folder / entry.path, entry, entry.path) for entry in matches]


def open_all(files: Sequence[RemoteFile], spool: Spool) -> list[InputFile]:
    """Copy files from elsewhere, several at a time.

    Args:
        files: the files.
        spool: where the copies exist as long as it is open.

    Raises:
        InputError: one is missing, may not be read, or changed while it was read.
        NetworkError: a server cannot be reached, or the connection broke.
        StoreError: there is no space for the copies.
    """
    raise_limit(len(files) + _SPARE_FILES)
    copying = _Copying(spool)
    if len(files) == 1:
        return [copying.copy(files[0])]
    pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(copying.copy, files))
    finally:
        pool.shutdown(cancel_futures=True)


class _Copying:
    """Copies of objects, each checked."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._etag_is_md5 = True
        """Not with a key of one's own at AWS: the ETag has the form of an MD5, and is none."""

    def copy(self, file: RemoteFile) -> InputFile:
        if isinstance(file.place, str):
            path = fetch_file(file.place, file.name, self._spool)
        else:
            path = self._copy_object(file.place, file.name)
        return InputFile(
            *(path, file.name, Path()),
            is_stream=isinstance(file.place, str) and not has_known_name(PurePosixPath(file.name).name),
            partitions=file.partitions,
            notes=file.notes,
        )

    def _copy_object(self, place: Location, name: str) -> Path:
        before = place.state()
        path, n_bytes, md5 = self._read(place, name)
        if place.state() != before or str(n_bytes) != before["Content-Length"]:
            raise InputError(f"{name} changed while it was read.", "an object that stays as it is", "try again")
        etag = _MD5.fullmatch(before.get("ETag", ""))
        if etag is not None and self._etag_is_md5 and etag[1] != md5:
            path, _, again = self._read(place, name)
            if again != md5:
                raise InputError(f"{name} has other bytes each time.", f"bytes with MD5 {etag[1]}", "try again")
            self._etag_is_md5 = False
        return path

    def _read(self, place: Location, name: str) -> tuple[Path, int, str]:
        md5 = hashlib.md5(usedforsecurity=False)
        copy, path = self._spool.file(name)
        n_bytes = 0
        with place.read() as stream:
            while block := stream.read(_BLOCK):
                self._spool.write(copy, block, name)
                md5.update(block)
                n_bytes += len(block)
        self._spool.write(copy, b"", name)
        return path, n_bytes, md5.hexdigest()


def _remote(place: Location, entry: Entry, below: str = "", notes: tuple[str, ...] = ()) -> RemoteFile:
    changed = entry.changed_at
    state: dict[str, object] = {"size": entry.bytes, "changed": str(changed)}
    if changed is not None and abs(dt.datetime.now(dt.UTC) - changed) < _FRESH:
        state["is_fresh"] = True
    columns = partitions(below.split("/")[:-1])
    return RemoteFile(place.name, place, entry.bytes, state, columns, notes)


def _in_folder(folder: Location) -> list[RemoteFile]:
    """The objects below a folder. What is left out stands in the notes of the first one."""
    left_out: dict[str, list[str]] = {}
    readable, found = list[Entry](), folder.entries()
    if not found:
        raise AbsentError(
            f"There is no object {folder.name} and none below it.", "an existing object or folder", "check the name"
        )
    is_delta = any(entry.path.startswith("_delta_log/") for entry in found)
    for entry in found:
        if any(_is_hidden(part) for part in entry.path.split("/")):
            continue
        why = _why_unreadable(entry.path) or _why_unknown(folder, entry)
        if why is None:
            readable.append(entry)
        else:
            left_out.setdefault(why, []).append(printable_address(entry.path))
    notes = [
        f"left out, {why}: {', '.join(names[:3])}{f' and {len(names) - 3:,} more' if len(names) > 3 else ''}"
        for why, names in left_out.items()
    ]
    if is_delta:
        notes.append("a table of Delta Lake: files that it has replaced are read as well")
    if not readable:
        raise InputError(
            "; ".join([f"The folder {folder.name} holds no object that can be read", *notes]) + ".",
            FORMATS,
            "name the objects",
        )
    return [
        _remote(folder / entry.path, entry, entry.path, () if at else tuple(notes)) for at, entry in enumerate(readable)
    ]


def _is_hidden(name: str) -> bool:
    return name not in {".", ".."} and (name.startswith(".") or (name.startswith("_") and "=" not in name))


def _why_unreadable(path: str) -> str | None:
    """Why an object cannot be asked for by its name; None: it can. The server would take `..` for another bucket."""
    if {"", ".", ".."} & set(path.split("/")):
        return "with . or .. or nothing between slashes in the name"
    if any(unicodedata.category(char) == "Cc" for char in path):
        return "with control characters in the name"
    return None


def _why_unknown(folder: Location, entry: Entry) -> str | None:
    name = entry.path.rpartition("/")[2]
    if has_known_name(name):
        return None
    if "." not in name and entry.bytes:  # Hive writes files without an ending, such as `000000_0`
        with (folder / entry.path).read() as stream:
            if by_content(stream.read(16), name) is not None:
                return None
    return "of another format"


def _glob(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression of whole paths. As in a shell, `*` matches no name that begins with a dot."""
    *folders, last = pattern.split("/")
    text = "".join(r"(?:(?!\.)[^/]+/)*" if part == "**" else f"{_glob_of_name(part)}/" for part in folders)
    return re.compile(text + (r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if last == "**" else _glob_of_name(last)), re.DOTALL)


def _glob_of_name(part: str) -> str:
    text, at = "" if part.startswith(".") else r"(?!\.)", 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2 + part.startswith("!", at + 1)) if char == "[" else -1
        if end > 0:
            inside = part[at + 1 : end].translate({ord(odd): f"\\{odd}" for odd in "\\[]^"})
            text += f"(?!/)[{'^' if inside.startswith('!') else ''}{inside.removeprefix('!')}]"
            at = end
        else:
            text += {"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char)
        at += 1
    return text

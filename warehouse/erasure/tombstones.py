"""Salted hashes of erased people, so that ingest, crawl, fetch and restore refuse their data.

    erased/salt            32 random bytes in hex, readable by the owner of the store only
    erased/tombstones      one line per user, photo, crawl target or image: SHA-256 of salt, kind and id; then one line
                           with a checksum of them all. The id of an image is the SHA-256 of its bytes
    erased/others/NAME/    the same two files of another store, whose erased people are refused here too

Without the salt a hash cannot be linked to an id; with the salt, only ids that are known already can be checked.
In SQL the macro `was_erased(kind, id)` checks an id.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from photogenic._lazy import duckdb, pa
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.layout import Layout, write_atomically

__all__ = ["Kind", "Tombstones", "count_erasures", "discard_if_erased"]

Kind = Literal["user", "photo", "target", "bytes"]

_CHECKSUM_PREFIX = "="
"""Prefix of the last line, a digest of salt and lines. Stores of earlier versions have no such line."""


class Tombstones:
    """The tombstones of one store.

    Args:
        layout: paths of the store.

    Raises:
        StoreError: there are tombstones, and their salt is absent, unreadable or different.
    """

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.erased
        self._salt_path, self._path = layout.erased / "salt", layout.erased / "tombstones"
        self._salt = _read_salt(self._salt_path) if _lines(self._path) else ""
        self._held = _hashes(self._path, self._salt)
        others = [(_read_salt(folder / "salt"), folder) for folder in sorted((layout.erased / "others").glob("*/"))]
        self._others = [(salt, _hashes(folder / "tombstones", salt)) for salt, folder in others]

    def __len__(self) -> int:
        return len(self._held) + sum(len(held) for _, held in self._others)

    def hash(self, kind: Kind, id_: str) -> str:
        """Return the salted hash of an id, 64 hex digits."""
        return _hash(self._salt, kind, id_)

    def hashes(self, kind: Kind, id_: str) -> list[str]:
        """Return the hashes of an id, one for each salt."""
        return [_hash(salt, kind, id_) for salt, _ in self.salted()]

    def contains(self, kind: Kind, id_: str) -> bool:
        """Whether the id was erased."""
        return any(_hash(salt, kind, id_) in held for salt, held in self.salted())

    def add(self, erased: Iterable[tuple[Kind, str]]) -> None:
        """Add ids and sync the file to disk."""
        if not self._salt:
            if not self._salt_path.exists():
                write_atomically(self._salt_path, secrets.token_hex(32).encode(), mode=0o600)
            self._salt = _read_salt(self._salt_path)
        named = {(kind, name) for kind, id_ in erased for name in (id_, _current_spelling(id_))}
        self._remember(self._path, self._held | {self.hash(kind, id_) for kind, id_ in named})

    def merge(self, folder: Path) -> None:
        """Add the tombstones of another `erased` folder and sync the files to disk.

        Raises:
            StoreError: its salt is absent, damaged or unreadable.
        """
        given = [folder, *sorted((folder / "others").glob("*/"))]
        for held in (one for one in given if _lines(one / "tombstones")):
            salt = _read_salt(held / "salt")
            hashes = _hashes(held / "tombstones", salt)
            name = hashlib.sha256(salt.encode()).hexdigest()[:12]
            if not self._salt and not self._salt_path.exists():
                write_atomically(self._salt_path, salt.encode(), mode=0o600)
            if (self._salt or _read_salt(self._salt_path)) == salt:
                self._salt = salt
                self._remember(self._path, self._held | hashes)
            else:
                other = self._folder / "others" / name
                write_atomically(other / "salt", salt.encode(), mode=0o600)
                hashes |= _hashes(other / "tombstones", salt)
                _write(other / "tombstones", hashes, salt)
                self._others = [one for one in self._others if one[0] != salt] + [(salt, hashes)]

    def prepare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Create the macro `was_erased(kind, id)` on a connection; without erased people it is the constant false."""
        if not len(self):
            con.execute("create or replace temp macro was_erased(kind, id) as false")
            return
        hashes = sorted(frozenset().union(*(held for _, held in self.salted())))
        con.register("given_tombstones", pa.table({"hash": hashes}))
        con.execute("create or replace temp table tombstones as select hash from given_tombstones")
        con.unregister("given_tombstones")
        asked = " or ".join(
            f"sha256('{salt}' || kind || ':' || id) in (select hash from tombstones)" for salt, _ in self.salted()
        )
        con.execute(f"create or replace temp macro was_erased(kind, id) as ({asked})")

    def salted(self) -> list[tuple[str, frozenset[str]]]:
        """Return each salt with the hashes made with it. Only users who may read the store may see them."""
        return ([(self._salt, self._held)] if self._held else []) + self._others

    def _remember(self, path: Path, held: frozenset[str]) -> None:
        if held != self._held:
            _write(path, held, self._salt)
            self._held = held


@contextlib.contextmanager
def discard_if_erased(layout: Layout, *made: Path) -> Iterator[None]:
    """Context manager for code that creates files of the store without the writer's lock.

    If people are erased before it ends, the files are removed.

    Raises:
        StoreError: people were erased in the meantime; the new files were removed.
    """
    before = count_erasures(layout)
    yield
    if layout.erase_journal.exists() or count_erasures(layout) != before:
        for path in made:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        raise StoreError(
            f"People were erased from the store while {made[0].name} was made from the data before.",
            "a store without a running erase",
            "run the same command again",
        )


def count_erasures(layout: Layout) -> int:
    """Return the number of erases that the store has had."""
    return len(list((layout.erased / "receipts").glob("*.json")))


def _hash(salt: str, kind: Kind, id_: str) -> str:
    return hashlib.sha256(f"{salt}{kind}:{id_}".encode()).hexdigest()


def _current_spelling(id_: str) -> str:
    """Return the current spelling of an id of an older store: 17 for `17.0`, as in sql/ingest/values.sql."""
    found = re.fullmatch(r"(-?(?:0|[1-9][0-9]*))[.]0+", id_)
    return found[1] if found else id_


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").split() if path.exists() else []


def _hashes(path: Path, salt: str) -> frozenset[str]:
    """Read the hashes and verify their checksum: with a damaged hash or salt, erased people could be ingested again."""
    lines = _lines(path)
    held = frozenset(line for line in lines if not line.startswith(_CHECKSUM_PREFIX))
    seals = [line for line in lines if line.startswith(_CHECKSUM_PREFIX)]
    if seals and seals != [_checksum_line(held, salt)]:
        raise _unreadable_salt(f"{path} is damaged")
    return held


def _checksum_line(held: Iterable[str], salt: str) -> str:
    return _CHECKSUM_PREFIX + hashlib.sha256("\n".join([salt, *sorted(held)]).encode()).hexdigest()


def _write(path: Path, held: frozenset[str], salt: str) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in (*sorted(held), _checksum_line(held, salt))).encode())


def _read_salt(path: Path) -> str:
    try:
        salt = path.read_text().strip()
    except OSError as error:
        salt, why = "", str(error)
    else:
        why = f"{path} is damaged"
    if len(salt) != 64 or not set(salt) <= set("0123456789abcdef"):
        raise _unreadable_salt(why)
    return salt


def _unreadable_salt(why: str) -> StoreError:
    return StoreError(
        f"The list of erased people of the store cannot be used: {why}.",
        "the salt that their hashes were made with, readable by the user who writes to the store",
        "restore it from a backup, or write to the store as the user that owns it",
    )

"""Who was erased, known by nothing but salted hashes: so that no road brings them back.

    erased/salt            32 random bytes in hex, readable by the owner of the store only
    erased/tombstones      one line per user, photo, crawl target or picture: SHA-256 of salt, kind and id; then one of
                           all that. The id of a picture is the SHA-256 of its bytes
    erased/others/NAME/    the same two files of another store, whose erased people count here too

Without the salt nobody can tell from a hash whose it is; with it, one can only ask about an id that one knows.
In SQL the macro `was_erased(kind, id)` asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.layout import Layout, write_atomically

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Kind", "Tombstones", "erasures", "unless_erased"]

Kind = Literal["user", "photo", "target", "bytes"]

_SEAL = "="
"""Begins the last line: a digest of salt and lines. Stores of earlier versions have none."""


class Tombstones:
    """Of one store, as they are now.

    Args:
        layout: the store.

    Raises:
        StoreError: there are some, and the salt that they were made with is absent, not ours to read, or another.
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
        """64 hex digits."""
        return _hash(self._salt, kind, id_)

    def holds(self, kind: Kind, id_: str) -> bool:
        """Whether that one was erased."""
        return any(_hash(salt, kind, id_) in held for salt, held in self.salted())

    def add(self, erased: Iterable[tuple[Kind, str]]) -> None:
        """Remember them, durably."""
        if not self._salt:
            if not self._salt_path.exists():
                write_atomically(self._salt_path, secrets.token_hex(32).encode(), mode=0o600)
            self._salt = _read_salt(self._salt_path)
        named = {(kind, name) for kind, id_ in erased for name in (id_, _as_read_now(id_))}
        self._remember(self._path, self._held | {self.hash(kind, id_) for kind, id_ in named})

    def merge(self, folder: Path) -> None:
        """Remember, durably, everybody whose tombstones lie in another `erased` folder.

        Raises:
            StoreError: their salt is absent, damaged or not ours to read.
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

    def prepare(self, con: DuckDBPyConnection) -> None:
        """Make the macro `was_erased(kind, id)` on a connection; where nobody was erased it costs nothing."""
        import pyarrow as pa

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
        """Salts with what was hashed with them; to be kept from whoever may not read the store."""
        return ([(self._salt, self._held)] if self._held else []) + self._others

    def _remember(self, path: Path, held: frozenset[str]) -> None:
        if held != self._held:
            _write(path, held, self._salt)
            self._held = held


@contextlib.contextmanager
def unless_erased(layout: Layout, *made: Path) -> Iterator[None]:
    """Around whatever makes files or folders of the store without the writer's lock: none outlives an erase meanwhile.

    Raises:
        StoreError: people were erased before it was finished; what was made is gone.
    """
    before = erasures(layout)
    yield
    if layout.erase_journal.exists() or erasures(layout) != before:
        for path in made:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        raise StoreError(
            f"People were erased from the store while {made[0].name} was made of what it held before.",
            "a store without an erase under way",
            "run the same command again",
        )


def erasures(layout: Layout) -> int:
    """How many times people were erased from the store."""
    return len(list((layout.erased / "receipts").glob("*.json")))


def _hash(salt: str, kind: Kind, id_: str) -> str:
    return hashlib.sha256(f"{salt}{kind}:{id_}".encode()).hexdigest()


def _as_read_now(id_: str) -> str:
    """The id that files give today to whom an older store calls `17.0`: 17, as in sql/ingest/values.sql."""
    found = re.fullmatch(r"(-?(?:0|[1-9][0-9]*))[.]0+", id_)
    return found[1] if found else id_


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").split() if path.exists() else []


def _hashes(path: Path, salt: str) -> frozenset[str]:
    """Checked: with a hash or the salt rotten, erased people could come back."""
    lines = _lines(path)
    held = frozenset(line for line in lines if not line.startswith(_SEAL))
    seals = [line for line in lines if line.startswith(_SEAL)]
    if seals and seals != [_seal(held, salt)]:
        raise _untold(f"{path} is damaged")
    return held


def _seal(held: Iterable[str], salt: str) -> str:
    return _SEAL + hashlib.sha256("\n".join([salt, *sorted(held)]).encode()).hexdigest()


def _write(path: Path, held: frozenset[str], salt: str) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in (*sorted(held), _seal(held, salt))).encode())


def _read_salt(path: Path) -> str:
    try:
        salt = path.read_text().strip()
    except OSError as error:
        salt, why = "", str(error)
    else:
        why = f"{path} is damaged"
    if len(salt) != 64 or not set(salt) <= set("0123456789abcdef"):
        raise _untold(why)
    return salt


def _untold(why: str) -> StoreError:
    return StoreError(
        f"Who was erased from the store cannot be told: {why}.",
        "the salt that their hashes were made with, readable by whoever writes to the store",
        "restore it from a backup, or write to the store as the user that owns it",
    )

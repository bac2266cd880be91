"""Read decoded pictures by the SHA-256 of a photo's bytes, for the rules that need them."""

from __future__ import annotations

import collections
import contextlib
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.decoded.formats import Form, Shard, open_shard
from photogenic.features.decoded.manifest import PictureManifest, read_index, read_manifest
from photogenic.features.decoded.rule import PictureRule, decoders
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.filesystems import Location, open_location

__all__ = ["DecodedPictures", "opened_pictures"]

_MOST_OPEN = 32
"""Files of one address that are open at a time."""


class DecodedPictures(Closing):
    """The pictures at some addresses, each for one rule. It is thread-safe. Close it, or use it in a `with`.

    Args:
        addresses: folders or addresses that `features export pictures --size` wrote.
        rules: the rules of those who ask; an address that serves none of them is refused. None: all serve.

    Raises:
        InputError: an address holds no decoded pictures, or serves none of the rules.
        StoreError: it is damaged, or was made by other versions of the decoders.
    """

    def __init__(self, addresses: Sequence[str], rules: Iterable[PictureRule | None] | None = None) -> None:
        self.addresses = tuple(addresses)
        self._open: dict[PictureRule, list[_Place]] = {}
        wanted = None if rules is None else {rule for rule in rules if rule is not None}
        with contextlib.ExitStack() as opened:
            for address in self.addresses:
                place = opened.enter_context(contextlib.closing(_Place.at(address)))
                if wanted is not None and place.rule not in wanted:
                    raise _unfit(place, wanted)
                self._open.setdefault(place.rule, []).append(place)
            self._held = opened.pop_all()

    @property
    def rules(self) -> set[PictureRule]:
        """The rules that are served."""
        return set(self._open)

    def picture(self, sha256: str, rule: PictureRule | None) -> NDArray[np.uint8] | None:
        """Return the picture, uint8 (size, size, 3), of the photo with these bytes; None: it is to be decoded.

        Raises:
            StoreError: the picture is damaged.
            InputError, NetworkError: its file cannot be read.
        """
        if rule is None:
            return None
        for place in self._open.get(rule, ()):
            found = place.read(sha256)
            if found is not None:
                return np.frombuffer(found, np.uint8).reshape(rule.size, rule.size, 3).copy()
        return None

    def close(self) -> None:
        """Close the files."""
        self._held.close()


@contextlib.contextmanager
def opened_pictures(
    addresses: Sequence[str], rules: Iterable[PictureRule | None] | None = None
) -> Iterator[DecodedPictures | None]:
    """Open `DecodedPictures` for the time of a block; None without an address."""
    if not addresses:
        yield None
        return
    with DecodedPictures(addresses, rules) as opened:
        yield opened


@dataclass(slots=True)
class _Place:
    """The pictures at one address.

    Attributes:
        keys: SHA-256 of the photos, sorted, as text of 64 characters.
        files: names of the files.
        file_of, places, sizes, checksums: for each key: number of its file, place, bytes and CRC-32.
    """

    location: Location
    form: Form
    rule: PictureRule
    keys: NDArray[np.bytes_]
    files: list[str]
    file_of: NDArray[np.int64]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    checksums: NDArray[np.int64]
    _shards: collections.OrderedDict[int, tuple[Shard, Any]] = field(default_factory=collections.OrderedDict)
    _lock: Any = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, address: str) -> _Place:
        location = open_location(address)
        manifest = read_manifest(location)
        if manifest is None or manifest.rule is None:
            what = "no pictures of an export" if manifest is None else "pictures as received"
            raise InputError(
                f"{location.name} has {what}.",
                "pictures that were decoded to one size",
                f"features export pictures --to {location.name} --as hdf5 --size 224",
            )
        _refuse_other_decoders(location, manifest)
        index = read_index(location, manifest).filter(status="ok").unique("sha256").sort("sha256")
        files = sorted(set(index["file"]))
        number = {name: at for at, name in enumerate(files)}
        numbers = {name: index[name].to_numpy().astype(np.int64) for name in ("place", "n_bytes", "crc32")}
        return cls(
            *(location, manifest.form, manifest.rule),
            keys=np.asarray(index["sha256"].to_list(), "S64"),
            files=files,
            file_of=np.asarray([number[name] for name in index["file"]], np.int64),
            places=numbers["place"],
            sizes=numbers["n_bytes"],
            checksums=numbers["crc32"],
        )

    def read(self, sha256: str) -> bytes | None:
        key = sha256.encode()
        at = int(np.searchsorted(self.keys, np.bytes_(key)))
        if at == len(self.keys) or self.keys[at] != key:
            return None
        number, n = int(self.file_of[at]), int(self.sizes[at])
        try:
            with self._shard(number) as shard:
                content = shard.read(int(self.places[at]), n)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise self._damaged(number, str(error)[:200]) from error
        if n != self.rule.n_bytes or len(content) != n or zlib.crc32(content) != self.checksums[at]:
            raise self._damaged(number, f"the picture of {sha256} has changed")
        return content

    @contextlib.contextmanager
    def _shard(self, number: int) -> Iterator[Shard]:
        """An open file. Those that were used longest ago are closed."""
        with self._lock:
            if number not in self._shards:
                opened = contextlib.ExitStack()
                file = opened.enter_context((self.location / self.files[number]).read())
                shard = open_shard(file, self.form)
                opened.callback(shard.close)
                self._shards[number] = shard, opened
                while len(self._shards) > _MOST_OPEN:
                    self._shards.popitem(last=False)[1][1].close()
            self._shards.move_to_end(number)
            yield self._shards[number][0]

    def close(self) -> None:
        while self._shards:
            self._shards.popitem()[1][1].close()

    def _damaged(self, number: int, why: str) -> StoreError:
        return StoreError(
            f"{(self.location / self.files[number]).name} is damaged: {why}.",
            "decoded pictures as they were written",
            f"remove {self.location.name} and export the pictures again; or leave out --decoded",
        )


def _refuse_other_decoders(location: Location, manifest: PictureManifest) -> None:
    """Raise:
    StoreError: the pictures were made by other versions than those of this program.
    """
    ours: Mapping[str, str] = decoders()
    if manifest.decoders != ours:
        theirs = ", ".join(f"{name} {manifest.decoders.get(name)}" for name in ours)
        raise StoreError(
            f"{location.name} was decoded with {theirs}.",
            f"pictures decoded with {', '.join(f'{name} {version}' for name, version in ours.items())}",
            "run the same features export pictures again, which decodes them again; or leave out --decoded",
        )


def _unfit(place: _Place, wanted: set[PictureRule]) -> InputError:
    asked = "; ".join(sorted(map(str, wanted))) or "no whole photos: only faces"
    return InputError(
        f"{place.location.name} has pictures of {place.rule}, which nothing here takes.",
        f"pictures of {asked}",
        "features export pictures --to ADDRESS --as hdf5 --encoder NAME; with --margin for features finetune",
    )

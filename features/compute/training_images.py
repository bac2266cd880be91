"""Pictures to train a network on: cut once, kept side by side in one file that is mapped, not read.

    pictures.npy   uint8 (n, side, side, 3), RGB; appears whole
    sound.npy      bool (n,): which could be decoded; written before

76,000 pictures of 256 px are 15 GB; they are the run's own and go when it is finished.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compute.preprocess import crop_for_encoder
from photogenic.features.encoders.base import Backbone
from photogenic.features.images.decode import decode
from photogenic.features.images.resize import centre
from photogenic.warehouse import Progress, StoreError, no_progress
from photogenic.warehouse.storage.layout import sync_directory

__all__ = ["cut_pictures", "roomy_side"]

_BLOCK = 256
_SHARE = 0.875


def roomy_side(backbone: Backbone) -> int:
    """Side of a picture that leaves room for crops of the network's own size: 256 for 224 px, 342 for 299 px."""
    return round(backbone.size / min(backbone.crop_pct, _SHARE))


def cut_pictures(
    path: Path,
    photos: Sequence[str],
    load: Callable[[str], bytes],
    backbone: Backbone,
    *,
    roomy: bool,
    n_threads: int = 1,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The pictures of `photos`, and which are sound. A file that is there already is taken as it is.

    Args:
        path: of the .npy file; named after all that decides its content by whoever calls.
        photos: digests of their bytes.
        load: digest -> bytes.
        backbone: that will look at them.
        roomy: the whole middle square, `roomy_side` wide; else exactly what the encoder sees.
        n_threads: that decode side by side.
        progress: hears of every photo.

    Raises:
        StoreError: the disk has no room for them.
    """
    side = roomy_side(backbone) if roomy else backbone.size
    sound_path = path.with_name(f"{path.stem}.sound.npy")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        size, free = len(photos) * side * side * 3, shutil.disk_usage(path.parent).free
        if size > free:
            raise StoreError(
                f"{len(photos):,} pictures of {side} px take {size / 1e9:.1f} GB; {path.parent} has {free / 1e9:.1f}.",
                "room for them while the network is trained",
                "free some space, or put the store on a larger disk",
            )
        make = functools.partial(_picture, backbone, side if roomy else None)
        _cut_all(
            path,
            sound_path,
            photos,
            lambda digest: make(load(digest)),
            side=side,
            n_threads=n_threads,
            progress=progress,
        )
    found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    sound: NDArray[np.bool_] = np.load(sound_path)
    return found, sound


def _cut_all(
    path: Path,
    sound_path: Path,
    photos: Sequence[str],
    make: Callable[[str], NDArray[np.uint8] | None],
    *,
    side: int,
    n_threads: int,
    progress: Progress,
) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    sound = np.zeros(len(photos), np.bool_)
    try:
        pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(photos), side, side, 3))
        with progress.stage("pictures", len(photos), "photos") as advance, ThreadPoolExecutor(n_threads) as pool:
            for place, made in enumerate(_ahead(pool, make, photos)):
                if made is not None:
                    pixels[place], sound[place] = made, True
                advance(1)
        pixels.flush()
        np.save(sound_path, sound)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _ahead(
    pool: ThreadPoolExecutor, make: Callable[[str], NDArray[np.uint8] | None], photos: Sequence[str]
) -> Iterator[NDArray[np.uint8] | None]:
    """Results in order, a bounded number of them waiting."""
    for at in range(0, len(photos), _BLOCK):
        yield from pool.map(make, photos[at : at + _BLOCK])


def _picture(backbone: Backbone, side: int | None, data: bytes) -> NDArray[np.uint8] | None:
    """The middle square of `side` pixels; None: what the encoder sees."""
    photo = decode(data)
    if side is None or photo.pixels is None:
        return crop_for_encoder(backbone.input_spec, data, photo, [])
    return centre(photo.pixels, side)

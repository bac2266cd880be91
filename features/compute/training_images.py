"""Crop the pictures for fine-tuning once, into one file that is memory-mapped.

    pictures.npy   uint8 (n, side, side, 3), RGB; published atomically
    sound.npy      bool (n,), whether each picture could be decoded; written first

76,000 pictures of 256 px take 15 GB; the run removes them when it is finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic.features.decoded.reader import DecodedPictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.base import Backbone
from photogenic.warehouse import Progress, StoreError, no_progress
from photogenic.warehouse.storage.layout import replacing

__all__ = ["crop_pictures"]

_BLOCK = 256


def crop_pictures(
    path: Path,
    photos: Sequence[str],
    load: Callable[[str], bytes],
    backbone: Backbone,
    *,
    with_margin: bool,
    decoded: DecodedPictures | None = None,
    n_threads: int = 1,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Crop the pictures of `photos`, and return them with a mask of those that could be decoded.

    An existing file is returned unchanged.

    Args:
        path: path of the .npy file; the caller names it after everything that decides its content.
        photos: digests of the photos' bytes.
        load: function from a digest to the bytes of the photo.
        backbone: network to fine-tune.
        with_margin: whether to keep the center square, with a margin for crops; else exactly the encoder's crop.
        decoded: pictures that were decoded before; the others are decoded.
        n_threads: number of threads.
        progress: callback for progress updates.

    Raises:
        StoreError: the disk has too little free space.
    """
    rule = PictureRule.of_training(backbone) if with_margin else PictureRule.of_input(backbone.input_spec)
    assert rule is not None
    side = rule.size
    sound_path = path.with_name(f"{path.stem}.sound.npy")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        size, free = len(photos) * side * side * 3, shutil.disk_usage(path.parent).free
        if size > free:
            raise StoreError(
                f"{len(photos):,} pictures of {side} px take {size / 1e9:.1f} GB; {path.parent} has {free / 1e9:.1f}.",
                "enough free space while the network is trained",
                "free some space, or put the store on a larger disk",
            )

        def make(digest: str) -> NDArray[np.uint8] | None:
            found = None if decoded is None else decoded.picture(digest, rule)
            return rule.apply(load(digest))[1] if found is None else found

        _write_crops(
            path,
            sound_path,
            photos,
            make,
            side=side,
            n_threads=n_threads,
            progress=progress,
        )
    found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    sound: NDArray[np.bool_] = np.load(sound_path)
    return found, sound


def _write_crops(
    path: Path,
    sound_path: Path,
    photos: Sequence[str],
    make: Callable[[str], NDArray[np.uint8] | None],
    *,
    side: int,
    n_threads: int,
    progress: Progress,
) -> None:
    sound = np.zeros(len(photos), np.bool_)
    with replacing(path) as temporary:
        pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(photos), side, side, 3))
        with progress.stage("pictures", len(photos), "photos") as advance, ThreadPoolExecutor(n_threads) as pool:
            for place, made in enumerate(_map_in_blocks(pool, make, photos)):
                if made is not None:
                    pixels[place], sound[place] = made, True
                advance(1)
        pixels.flush()
        np.save(sound_path, sound)


def _map_in_blocks(
    pool: ThreadPoolExecutor, make: Callable[[str], NDArray[np.uint8] | None], photos: Sequence[str]
) -> Iterator[NDArray[np.uint8] | None]:
    """Yield results in order, with a bounded number of them in memory."""
    for at in range(0, len(photos), _BLOCK):
        yield from pool.map(make, photos[at : at + _BLOCK])

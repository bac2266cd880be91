"""Compute perceptual hashes: 256 bits that hardly change with size, quality, format or brightness.

The picture is converted to gray, 64 x 64, and to its discrete cosine transform; a bit is set where one of the 256
lowest frequencies is above their median. Copies of a picture differ in a few bits, different pictures in about half of
them. The mirror image has the same frequencies with every second sign flipped, so its hash needs no second transform.

On 354 studio portraits, which are a hard case, recompressed, halved or gray copies differ in at most 6 bits, much
brighter ones in 14 (median); two consecutive photos of one person in 30 or more, two people in 42.

Source: the DCT hash of Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010,
with 256 bits instead of 64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import Image, pl, scipy
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.compute.preprocess import loader
from photogenic.features.images.decode import decode
from photogenic.warehouse import Layout, Store
from photogenic.warehouse.storage.parquet_parts import Parts

__all__ = ["BITS", "perceptual_hash", "photo_hashes"]

BITS = 256

_SIDE = 64
_KEPT = 16
_FLAT = 4.0
"""Gray levels: a picture with a lower standard deviation is too uniform for a hash."""

_BATCH = 1024
_VERSION = hashlib.sha256(f"dct {_SIDE} {_KEPT} {_FLAT} 1".encode()).hexdigest()[:16]


def perceptual_hash(pixels: NDArray[np.uint8]) -> tuple[bytes, bytes] | None:
    """Compute the hash of a picture and of its mirror image, 32 bytes each; None for a uniform picture.

    Args:
        pixels: uint8 (h, w, 3), RGB.
    """
    gray = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    values = np.asarray(gray, np.float64)
    if values.std() < _FLAT:
        return None
    waves = scipy.fft.dctn(values, norm="ortho")[:_KEPT, :_KEPT]
    waves[0, 0] = 0  # ignore the mean brightness
    mirrored = waves * np.where(np.arange(_KEPT) % 2, -1, 1)
    return _bits(waves), _bits(mirrored)


def photo_hashes(store: Store) -> pl.DataFrame:
    """The hashes of all photos whose bytes are in the store; missing ones are computed and stored in Parquet.

    Returns:
        sha256, hash, mirror (32 bytes each; NULL for a uniform picture), one row per photo bytes.
    """
    parts = Parts(store.layout.hashes, _VERSION)
    wanted, alive = (
        photo_bytes(store.database, deleted=deleted).filter(status="ok").select("sha256").unique().sort("sha256")
        for deleted in (True, False)
    )
    stored = _stored(parts)
    missing = alive.join(stored, on="sha256", how="anti")["sha256"].to_list()
    if missing:
        with store.progress.stage("hashes", len(missing), "photos") as advance:
            for batch in _computed(store.layout, missing, store.database.settings.threads):
                parts.append(batch.to_arrow())
                advance(len(batch))
    _commit(parts, wanted)
    return _stored(parts).join(wanted, on="sha256", how="semi").unique("sha256").sort("sha256")


def _bits(waves: NDArray[np.float64]) -> bytes:
    return np.packbits(waves > np.median(waves)).tobytes()


def _stored(parts: Parts) -> pl.DataFrame:

    nothing = pl.DataFrame(schema={"sha256": pl.String, "hash": pl.Binary, "mirror": pl.Binary})
    return pl.concat([nothing, *(pl.read_parquet(path, glob=False) for path in parts.verified_paths())])


def _computed(layout: Layout, digests: list[str], n_threads: int) -> Iterator[pl.DataFrame]:
    """Yield the hashes in batches. Threads suffice, because Pillow releases Python's lock while it decodes."""
    load = loader(layout)

    def one(digest: str) -> tuple[bytes, bytes] | None:
        pixels = decode(load(digest), min_side=_SIDE).pixels
        return None if pixels is None else perceptual_hash(pixels)

    with ThreadPoolExecutor(n_threads) as pool:
        for start in range(0, len(digests), _BATCH):
            batch = digests[start : start + _BATCH]
            made = list(pool.map(one, batch))
            yield pl.DataFrame(
                {
                    "sha256": batch,
                    "hash": [found and found[0] for found in made],
                    "mirror": [found and found[1] for found in made],
                },
                schema={"sha256": pl.String, "hash": pl.Binary, "mirror": pl.Binary},
            )


def _commit(parts: Parts, wanted: pl.DataFrame) -> None:
    """Publish one part with exactly the photos whose bytes are in the store."""
    paths = parts.paths()
    stored = _stored(parts).unique("sha256").sort("sha256")
    current = stored.join(wanted, on="sha256", how="semi")
    if len(paths) > 1 or len(current) < len(stored):
        paths = [parts.append(current.to_arrow())]
    if not parts.are_published([path.name for path in paths]):
        parts.publish({"digest": parts.digest, "bits": BITS, "n_photos": len(current)}, paths)

"""What an encoder costs: time per photo, bytes of vectors and index per photo, and time and recall of a query."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from photogenic._lazy import pl
from photogenic.features.compute import throughput
from photogenic.features.compute.embed_files import FileEmbedder
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.registry import encoder
from photogenic.features.search import index_files
from photogenic.features.vectors import reader
from photogenic.warehouse import Layout, PhotogenicError, Store

__all__ = ["EncoderCost", "costs"]


@dataclass(frozen=True, slots=True)
class EncoderCost:
    """Cost of one encoder. A figure is None where it was never measured, or where there is no index.

    Attributes:
        licence: license of the weights that made the vectors.
        photo_ms: milliseconds of work per photo: decode, find the face if the encoder needs one, crop, network.
        network_ms: the part of the network.
        measured: where `photo_ms` is from: `last build`, or `now, on N photos`.
        vector_bytes: bytes per photo on disk.
        index_bytes: bytes of the index per photo in memory.
        p50_ms: median time of a query for ten photos, measured when the index was built.
    """

    encoder: str
    input: str
    dim: int
    dtype: str
    n_photos: int
    licence: str
    photo_ms: float | None
    network_ms: float | None
    measured: str | None
    vector_bytes: float | None
    index_kind: str | None
    index_bytes: float | None
    p50_ms: float | None
    recall_at_10: float | None


def costs(
    store: Store, names: Sequence[str], *, measure: int = 0, seed: int = 0
) -> tuple[list[EncoderCost], list[str]]:
    """Return the cost of each encoder, and notes about what could not be measured.

    Args:
        store: the open store.
        names: encoders with vectors.
        measure: number of photos to measure the time on now; 0 takes the time of the last build.
        seed: seed of the choice of these photos.

    Raises:
        StoreError: vectors are damaged.
    """
    rates, notes = throughput.last(store.database).work_s, list[str]()
    found = []
    for name in names:
        made, known = reader.manifest(store.layout, name), _known(store.layout, name, notes)
        network = None if known is None else rates.get(known.backbone.name)
        steps = ["decode", "cut", *(["faces"] if made.input == "face" else [])]
        total = None if network is None else network + sum(rates.get(step, 0.0) for step in steps)
        measured = None if total is None else "last build"
        if measure and known is not None:
            total, measured, note = _measured(store, known, measure, seed)
            notes += [note] if note else []
        index = index_files.read_manifest(store.layout, name)
        if index is not None and index.vectors_content != made.content:
            index = None  # an index of former vectors
        n, n_indexed = made.n_photos + made.n_flips, index.n_photos if index is not None else 0
        found.append(
            EncoderCost(
                encoder=name,
                input=made.input,
                dim=made.dim,
                dtype=made.dtype,
                n_photos=made.n_photos,
                licence=made.licence,
                photo_ms=None if total is None else 1000 * total,
                network_ms=None if network is None else 1000 * network,
                measured=measured,
                vector_bytes=_part_bytes(store.layout, made) / n if n else None,
                index_kind=index.kind if index is not None else None,
                index_bytes=index.index_bytes / n_indexed if index is not None and n_indexed else None,
                p50_ms=index.p50_ms if index is not None else None,
                recall_at_10=index.recall_at_10 if index is not None else None,
            )
        )
    return found, notes


def _known(layout: Layout, name: str, notes: list[str]) -> Encoder | None:
    try:
        return encoder(name, layout.models)
    except PhotogenicError as error:
        notes.append(f"The time of {name} is not known: {error.what} Try: {error.remedy}")
        return None


def _part_bytes(layout: Layout, made: reader.Manifest) -> int:
    folder = layout.embeddings(made.encoder)
    return sum((folder / part.file).stat().st_size for part in made.parts)


def _measured(store: Store, known: Encoder, n: int, seed: int) -> tuple[float | None, str | None, str]:
    """Measure the seconds per photo with the loaded network, one photo at a time; and a note if there are none."""
    ids = reader.open_vectors(store.layout, known.name).ids()
    photos = photo_bytes(store.database).filter(pl.col("photo_id").is_in(ids)).sort("photo_id")
    paths = [path for sha256 in photos["sha256"].to_list() if (path := store.layout.photo(sha256)).is_file()]
    if not paths:
        return None, None, f"The time of {known.name} was not measured: no photo with a vector has a picture."
    chosen = [paths[at] for at in np.random.default_rng(seed).permutation(len(paths))[:n]]
    try:
        with (
            FileEmbedder(known.name, models=store.layout.models) as embed,
            store.progress.stage(f"time of {known.name}", len(chosen), "photos") as advance,
        ):
            embed(chosen[:1])  # the first photo loads and warms the network
            start = time.perf_counter()
            for path in chosen:
                embed([path], advance)
            spent = time.perf_counter() - start
    except PhotogenicError as error:
        return None, None, f"The time of {known.name} was not measured: {error.what} Try: {error.remedy}"
    return spent / len(chosen), f"now, on {len(chosen):,} {'photo' if len(chosen) == 1 else 'photos'}", ""

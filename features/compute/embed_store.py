"""Compute the vectors of whole photos by one encoder, without face detection or other changes to the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from photogenic.features.compute.pending import sizes
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.compute.preprocess import BATCH, PhotoTask
from photogenic.features.compute.process_pool import open_preprocessor
from photogenic.features.compute.worker import Worker, in_parallel
from photogenic.features.encoders.batch_embedder import embedders
from photogenic.features.encoders.device import choose, torch_threads
from photogenic.features.encoders.registry import encoder
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import EncoderError, Store

__all__ = ["embed_photos"]


def embed_photos(store: Store, name: str, *, device: str | None = None, decoded: Sequence[str] = ()) -> int:
    """Compute the missing vectors of all readable photos, like `build`, and return how many photos were new.

    Args:
        store: the open store.
        name: name of an encoder of whole photos.
        device: device for the networks: cpu, cuda, cuda:1. Default: the first GPU, else the CPU.
        decoded: addresses of decoded pictures that are read in place of decoding photos.

    Raises:
        EncoderError: the encoder is unknown, or embeds faces.
        LockedError: another process writes to the store.
    """
    chosen, place = encoder(name, store.layout.models), choose(device)
    if chosen.input != "photo":
        raise EncoderError(f"{name} embeds faces.", "an encoder of whole photos", f"features build --encoder {name}")
    with store.database.lock("compute features"):
        photos = photo_bytes(store.database).filter(status="ok").drop("status")
        writer = VectorWriter(store.layout, chosen, "")
        held = set(writer.stored().filter(flip=False)["sha256"])
        owners = {sha: ids for sha, ids in photos.group_by("sha256").agg("photo_id").sort("sha256").iter_rows()}  # noqa: C416
        wanted = frozenset({(name, False)})
        work = [PhotoTask(sha256, detect=False, wanted=wanted) for sha256 in owners if sha256 not in held]
        if work:
            n_threads = store.database.settings.threads
            width = place.batch if place.is_gpu else min(place.batch, BATCH)
            networks, batches, at = embedders([chosen], place), list[list[PhotoTask]](), 0
            for size in sizes(len(work), width=width, most=max(width, BATCH), n_workers=n_threads):
                batches.append(work[at : at + size])
                at += size
            preprocessor = open_preprocessor(
                store.layout, None, networks, place, n=len(work), n_threads=n_threads, decoded=decoded
            )
            stage = store.progress.stage(f"photos by {name}", len(work), "photos")
            with torch_threads(1), preprocessor as (prepare, n_callers), stage as advance:
                for outcome in in_parallel(Worker(prepare, networks), batches, n_callers):
                    for made in outcome.vectors:
                        rows = [(p, sha, x) for sha, x in zip(made.sha256s, made.X, strict=True) for p in owners[sha]]
                        ids, digests, X = zip(*rows, strict=True)
                        writer.append(ids, digests, [False] * len(ids), np.stack(X))
                    advance(outcome.n)
        writer.commit(photo_bytes(store.database, deleted=True).filter(status="ok").drop("status"))
    return len(work)

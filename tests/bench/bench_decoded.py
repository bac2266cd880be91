"""Compare builds and fine-tuning that decode photos with those that read decoded pictures.

    python -m tests.bench.bench_decoded [--photos 600] [--size 1080] [--iterations 20]

One line per form: CPU seconds of the export and its size on disk, beside that of the photos; CPU seconds of preparing
the input of a second encoder (`input`) and of the whole build of its vectors (`build`), with and without the decoded
pictures; the same for the pictures of fine-tuning (`crops`) and a fine-tuning of some updates (`finetune`). CPU seconds
are those of this process and its children. Vectors and pictures are compared: `equal` says whether all bits are.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from photogenic import FeatureStore
from photogenic.features.compute.preprocess import loader
from photogenic.features.compute.training_images import crop_pictures
from photogenic.features.decoded.reader import opened_pictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.device import torch_threads
from photogenic.features.encoders.registry import encoder
from photogenic.synthetic.swipes.world import make_world

ENCODER = "efficientnet_lite0"
FORMS = ("hdf5", "webdataset", "parquet")


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--size", type=int, default=1080, help="side of the photos in pixels")
    parser.add_argument("--iterations", type=int, default=20, help="updates of fine-tuning; 0: none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in bench(Path(folder), given.photos, given.size, given.iterations):
            print(json.dumps({"bench": "decoded", **line}), flush=True)


def bench(folder: Path, n: int, size: int, iterations: int) -> Iterator[dict[str, Any]]:
    """Make a store without vectors, and measure each form on a copy of it."""
    world = make_world(folder / "world", users=n * 2 // 3, swipes=n * 50, seed=3, picture_size=size)
    with FeatureStore(folder / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(encoders=[], only="faces")
        n_bytes = sum(path.stat().st_size for path in store.layout.photos.rglob("*.jpg"))
        n_photos = len(store.sql("from photos where status = 'ok'"))
    yield {"what": "photos", "n": n_photos, "mb": n_bytes / 1e6}
    plain = measured(folder, [], iterations)
    yield {"what": "decoding", **{name: value for name, value in plain.items() if name != "X"}}
    for form in FORMS:
        places = [str(folder / f"{form}-{name}") for name in ("input", "margin")]
        with FeatureStore(folder / "store") as store:
            spent = [
                cpu(functools.partial(store.export_pictures, to, format=form, encoder=ENCODER, margin=margin))
                for to, margin in zip(places, (False, True), strict=True)
            ]
        on_disk = [sum(path.stat().st_size for path in Path(to).rglob("*") if path.is_file()) / 1e6 for to in places]
        found = measured(folder, places, iterations)
        yield {
            "what": form,
            "export_s": spent,
            "mb": on_disk,
            "equal": bool(np.array_equal(found.pop("X"), plain["X"])),
            **found,
            "input_ratio": found["input_s"] / plain["input_s"],
            "build_ratio": found["build_s"] / plain["build_s"],
            "crops_ratio": found["crops_s"] / plain["crops_s"],
        }


def measured(folder: Path, decoded: list[str], iterations: int) -> dict[str, Any]:
    """CPU seconds of the steps of one variant, and the vectors."""
    copy, backbone = folder / "copy", encoder(ENCODER).backbone
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "store", copy)
    found: dict[str, Any] = {}
    with FeatureStore(copy) as store, torch_threads(1):
        digests = store.sql("select distinct sha256 from photos where status = 'ok' order by 1")["sha256"].to_list()
        load, rule = loader(store.layout), PictureRule.of_input(backbone.input_spec)
        assert rule is not None

        def inputs() -> None:
            with opened_pictures(decoded) as opened:
                for digest in digests:
                    if opened is None or opened.picture(digest, rule) is None:
                        rule.apply(load(digest))

        def crops() -> None:
            with opened_pictures(decoded) as opened:
                crop_pictures(copy / "crops.npy", digests, load, backbone, with_margin=True, decoded=opened)

        found["input_s"], found["crops_s"] = cpu(inputs), cpu(crops)
        found["build_s"] = cpu(lambda: store.build(encoders=[ENCODER], only="embeddings", decoded=decoded[:1]))
        found["X"] = store.embeddings(ENCODER)[1]
        if iterations:
            store.build()
            options = {"setup": "all", "iterations": iterations, "batch_size": 32, "device": "cpu"}
            found["finetune_s"] = cpu(lambda: store.finetune(**options, decoded=decoded))
    return found


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its children."""
    before = _spent()
    work()
    return round(_spent() - before, 3)


def _spent() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()

"""Compare a build with features of a picture to the same build without them.

    python -m tests.bench.bench_pictures [--photos 600] [--rounds 5] [--own-only]

`ratio` of photo_quality is CPU seconds with it over CPU seconds without it. `overhead` of a feature of the user is what
it adds beyond its own time on the same pixels, as a share of the build without it: at most 0.03. `alone` is the time of
a later build that computes only that feature, per photo, over the same with decoding alone. CPU seconds are those of
this process and its children; the median of the rounds counts, each of which runs all variants in turn.

The difference of two builds is small beside the noise of a busy machine. `calls` is that share from the calls alone:
CPU seconds of the thread that passes decoded photos, and of the whole process of the function with its start, less the
function's own on the same pixels. With `--own-only` no build with features runs, only the one to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from photogenic.features.compute.pipeline import compute
from photogenic.features.compute.preprocess import BATCH
from photogenic.features.encoders.device import torch_threads
from photogenic.features.images.decode import decode
from photogenic.features.pictures.registry import picture_feature
from photogenic.features.pictures.runner import Runner
from photogenic.features.pictures.work import PictureWork
from tests.bench.bench_vectors import photos
from tests.features.gallery import Gallery

PAIR = ("efficientnet_lite0", "dlib_face")
MODULE = "tests.bench.pictures.own"


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--own-only", action="store_true", help="only the calls of the feature of a user")
    given = parser.parse_args()
    os.environ["FEATURES_MODULES"] = MODULE
    with tempfile.TemporaryDirectory() as folder:
        for line in bench(Path(folder), photos(given.photos), given.rounds, own_only=given.own_only):
            print(json.dumps({"bench": "pictures", **line}), flush=True)


def bench(folder: Path, pictures: dict[str, bytes], rounds: int, *, own_only: bool = False) -> Iterator[dict[str, Any]]:
    """Run all variants in each round, in stores of their own."""
    variants: dict[str, Sequence[str]] = {"none": (), "quality": ("photo_quality",), "own": ("bench_edges",)}
    spent: dict[str, list[float]] = {name: [] for name in variants}
    if own_only:
        variants = {"none": ()}
    alone: list[float] = []
    own: list[float] = []
    decoding: list[float] = []
    calls: list[float] = []
    for number in range(rounds):
        for name, features in variants.items():
            gallery = Gallery(folder / f"{name}{number}", pictures)
            spent[name].append(_cpu(lambda g=gallery, f=features: compute(g.store, PAIR, features=f)))
            if name == "none":
                later = gallery
        if not own_only:
            alone.append(_cpu(lambda g=later: compute(g.store, [], features=["bench_edges"])))
        for spent_on, seconds in zip((decoding, own, calls), _calls(pictures), strict=True):
            spent_on.append(seconds)
    base, n = statistics.median(spent["none"]), len(pictures)
    if not own_only:
        quality = [b / a for a, b in zip(spent["none"], spent["quality"], strict=True)]
        yield {
            "feature": "photo_quality",
            "n": n,
            "ms_per_photo": round(1e3 * (statistics.median(spent["quality"]) - base) / n, 3),
            "ms_without": round(1e3 * base / n, 3),
            "ratio": round(statistics.median(quality), 4),
        }
    shares = [(called - t) / a for a, called, t in zip(spent["none"], calls, own, strict=True)]
    line: dict[str, Any] = {
        "feature": "own",
        "n": n,
        "ms_own": round(1e3 * statistics.median(own) / n, 3),
        "ms_calls": round(1e3 * statistics.median(calls) / n, 3),
        "ms_without": round(1e3 * base / n, 3),
        "calls": round(statistics.median(shares), 4),
    }
    if not own_only:
        overhead = [(c - a - t) / a for a, c, t in zip(spent["none"], spent["own"], own, strict=True)]
        line["overhead"] = round(statistics.median(overhead), 4)
        line["alone"] = round(statistics.median(alone) / (statistics.median(own) + statistics.median(decoding)), 3)
    yield line


def _calls(pictures: dict[str, bytes]) -> tuple[float, float, float]:
    """CPU seconds to decode the pictures, to call the function on the pixels here, and to call it as a build does."""
    feature, clock = picture_feature("bench_edges"), time.thread_time
    assert feature.function is not None
    decoding = own = calls = 0.0
    ended = _used(resource.RUSAGE_CHILDREN)
    with torch_threads(1), Runner() as run:
        named = list(pictures.items())
        for some in (named[at : at + BATCH] for at in range(0, len(named), BATCH)):
            work = PictureWork({feature.name: feature}, run)
            for name, data in some:
                times = [clock()]
                photo = decode(data)
                assert photo.pixels is not None
                times.append(clock())
                feature.function(photo.pixels)
                times.append(clock())
                work.add(name, [feature.name], photo.pixels, (photo.width, photo.height), [])
                times.append(clock())
                decoding, own, calls = (
                    decoding + times[1] - times[0],
                    own + times[2] - times[1],
                    calls + times[3] - times[2],
                )
            start = clock()
            assert {row.status for row in work.finish()} == {"ok"}
            calls += clock() - start
    return decoding, own, calls + _used(resource.RUSAGE_CHILDREN) - ended


def _cpu(work: Any) -> float:
    """CPU seconds of this process and of the children that ended meanwhile."""
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    before = _used(*both)
    work()
    return _used(*both) - before


def _used(*whose: int) -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


if __name__ == "__main__":
    main()

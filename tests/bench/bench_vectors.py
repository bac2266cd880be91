"""Compare the computation of vectors from files with its bare parts, and reading vectors with reading bytes.

    python -m tests.bench.bench_vectors [--photos 3000] [--rounds 3]

`bound_s` is the time of the parts without any loss between them: CPU seconds of decoding and cropping,
of BlazeFace, and of the networks on ready tensors of the same batch size, divided by the number of cores. All cores
run the same part at a time, as in a build, since cores that share caches slow each other down. `ratio` is
bound over wall time; `ratio_cpu` compares CPU seconds only, and is reliable on a busy machine.

On a GPU `ratio` is the time of the bare model over the wall time. The CPU decodes and detects faces there: the time of
its CPU seconds on all cores is printed too, and `ratio_of_slower` is the greater of the two over ours.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from photogenic.features.compute.pipeline import compute
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.device import Device, choose, torch_threads
from photogenic.features.encoders.networks.fuse_batchnorm import fuse_batchnorm
from photogenic.features.encoders.networks.imagenet import InceptionV3
from photogenic.features.encoders.published import PUBLISHED
from photogenic.features.encoders.registry import encoder, register
from photogenic.features.faces.align import DLIB, chip
from photogenic.features.faces.detector import Detector, FaceSettings
from photogenic.features.images.decode import decode
from photogenic.features.images.resize import center_crop
from photogenic.features.vectors import reader
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Layout
from tests.features.gallery import Gallery, portrait

SIDE = 600


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=76_000)
    parser.add_argument("--gpu-only", action="store_true", help="leave out what has no GPU in it")
    given = parser.parse_args()
    pictures = photos(given.photos)
    with tempfile.TemporaryDirectory() as folder:
        for line in bench(Path(folder), pictures, given.rounds, given.rows, gpu_only=given.gpu_only):
            print(json.dumps({"bench": "vectors", **line}), flush=True)


def photos(n: int) -> dict[str, bytes]:
    """Make portraits of 600 px; copies of one drawing differ in a comment after the image."""
    drawn = [portrait(seed, size=SIDE) for seed in range(min(n, 100))]
    return {f"p{i:06d}": drawn[i % len(drawn)] + b"%06d" % i for i in range(n)}


def bench(
    folder: Path, pictures: dict[str, bytes], rounds: int, rows: int, *, gpu_only: bool = False
) -> Iterator[dict[str, Any]]:
    """Run every comparison, each in its own store."""
    pair = [encoder("efficientnet_lite0"), encoder("dlib_face")]
    if choose().is_gpu:
        yield on_gpu(folder / "gpu pair", pictures, pair)
        yield on_gpu(folder / "gpu inception", pictures, [_inception()])
    if gpu_only:
        return
    yield decoding(list(pictures.values()), rounds)
    yield faces_only(folder / "faces", dict(list(pictures.items())[:1000]))
    yield end_to_end(folder / "pair", pictures, pair, rounds)
    few = dict(list(pictures.items())[: max(len(pictures) // 4, 1)])
    yield end_to_end(folder / "inception", few, [_inception()], rounds)
    yield reading(folder / "reading", rows, 2048, rounds)


def decoding(files: Sequence[bytes], rounds: int) -> dict[str, Any]:
    """Compare the decode stage in a pool with Pillow's decode and resize in the same pool."""

    def ours(data: bytes) -> None:
        pixels = decode(data).pixels
        assert pixels is not None
        center_crop(pixels, 224, 0.875)

    def bare(data: bytes) -> None:
        side, rest = round(SIDE * 0.875), round(SIDE * 0.0625)
        box = (rest, rest, rest + side, rest + side)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box=box))

    with torch_threads(1), ThreadPoolExecutor(_cores()) as pool:
        pairs = [
            [_seconds(lambda work=work: list(pool.map(work, files))) for work in (bare, ours)] for _ in range(rounds)
        ]
    return {
        "what": "decode and resize, photos/s",
        "bare": round(len(files) / min(pair[0] for pair in pairs)),
        "ours": round(len(files) / min(pair[1] for pair in pairs)),
        "ratio": round(statistics.median(bare / ours for bare, ours in pairs), 2),
    }


def faces_only(folder: Path, pictures: dict[str, bytes]) -> dict[str, Any]:
    """Measure the published speed: 1,000 photos in under a minute."""
    gallery = Gallery(folder, pictures, threads=_cores())
    report = compute(gallery.store, [])
    return {
        "what": f"faces in {len(pictures)} photos of {SIDE} px",
        "wall_s": round(report.wall_s, 1),
        "faces": report.n_faces,
        "times_60_s_per_1000": round(60 * len(pictures) / 1000 / report.wall_s, 1),
    }


def end_to_end(folder: Path, pictures: dict[str, bytes], chosen: list[Encoder], rounds: int) -> dict[str, Any]:
    """Measure files to Parquet with faces, in alternation with the bare parts."""
    measured = []
    for at in range(rounds):
        parts = bare_parts(list(pictures.values()), chosen)
        gallery = Gallery(folder / str(at), pictures, threads=_cores())
        cpu = time.process_time()
        report = compute(gallery.store, [e.name for e in chosen], device="cpu")
        cpu = time.process_time() - cpu
        bound = sum(parts.values())
        measured.append((bound / _cores() / report.wall_s, bound / cpu, bound, report.wall_s, parts))
    ratio, _, bound, wall, parts = sorted(measured)[len(measured) // 2]
    return {
        "what": "+".join(e.name for e in chosen),
        "photos": len(pictures),
        "photos_per_s": round(len(pictures) / wall, 1),
        "bound_s": round(bound / _cores(), 1),
        "wall_s": round(wall, 1),
        "ratio": round(ratio, 2),
        "ratio_cpu": round(max(entry[1] for entry in measured), 2),
        "ms_of_parts": {name: round(1e3 * seconds / len(pictures), 2) for name, seconds in parts.items()},
    }


def bare_parts(files: Sequence[bytes], chosen: list[Encoder]) -> dict[str, float]:
    """Return the CPU seconds of each part over all photos, with every core on the same part, one thread each."""
    device, n = choose("cpu"), _cores()
    shares = [files[at::n] for at in range(n)]
    with torch_threads(1), Detector(FaceSettings(), n) as detector, ThreadPoolExecutor(n) as pool:
        spent: Counter[str] = Counter()
        cuts = []
        for some, cut in pool.map(lambda share: _prepared(share, chosen, detector), shares):
            spent.update(some)
            cuts.append(cut)
        for e in chosen:
            module = device.place(e.backbone.module())
            for seconds in pool.map(
                functools.partial(_network, e, module, device.batch), [cut[e.name] for cut in cuts]
            ):
                spent[e.name] += seconds
    return dict(spent)


def _prepared(
    files: Sequence[bytes], chosen: list[Encoder], detector: Detector
) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
    cut: dict[str, list[np.ndarray]] = {e.name: [] for e in chosen}
    spent = dict.fromkeys(["decode", "faces", "cut"], 0.0)
    for data in files:
        start = time.thread_time()
        pixels = decode(data).pixels
        assert pixels is not None
        decode_photos = time.thread_time()
        (face, *_) = detector(pixels)
        looked = time.thread_time()
        for e in chosen:
            if e.input == "photo":
                cut[e.name].append(center_crop(pixels, e.size, e.backbone.crop_pct))
            else:
                cut[e.name].append(chip(pixels, face.keypoints, DLIB))
        end = time.thread_time()
        for name, seconds in zip(spent, (decode_photos - start, looked - decode_photos, end - looked), strict=True):
            spent[name] += seconds
    return spent, cut


def _network(e: Encoder, module: torch.nn.Module, width: int, cut: Sequence[np.ndarray]) -> float:
    ready = _tensors(e, cut[:width], choose("cpu"))
    n_passes = max(len(cut) // width, 1)
    with torch.inference_mode():
        module(ready)
        start = time.thread_time()
        for _ in range(n_passes):
            module(ready)
        return (time.thread_time() - start) / (n_passes * width) * len(cut)


def _tensors(e: Encoder, cut: Sequence[np.ndarray], device: Device) -> torch.Tensor:
    mean, std = torch.tensor(e.backbone.mean), torch.tensor(e.backbone.std)
    stack = (torch.from_numpy(np.stack(cut)).float() - mean) / std
    return stack.permute(0, 3, 1, 2).to(device.name).contiguous(memory_format=torch.channels_last)


def on_gpu(folder: Path, pictures: dict[str, bytes], chosen: list[Encoder]) -> dict[str, Any]:
    """Compare files to Parquet with the bare models on tensors that are on the GPU already."""
    device = choose()
    with Detector(FaceSettings()) as detector:
        _, cut = _prepared(list(pictures.values())[: device.batch], chosen, detector)
    bare = 0.0
    for e in chosen:
        module, ready = device.place(e.backbone.module()), _tensors(e, cut[e.name], device)
        with torch.inference_mode(), device.precision():
            module(ready)
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(20):
                module(ready)
            torch.cuda.synchronize()
            bare += (time.perf_counter() - start) / (20 * len(ready)) * len(pictures)
    gallery = Gallery(folder, pictures, threads=_cores())
    report = compute(gallery.store, [e.name for e in chosen])
    parts = bare_parts(list(pictures.values())[: 64 * _cores()], [])
    by_cpu = sum(parts.values()) / (64 * _cores()) * len(pictures) / _cores()
    return {
        "what": f"{'+'.join(e.name for e in chosen)} on {torch.cuda.get_device_name()}",
        "photos": len(pictures),
        "photos_per_s": round(len(pictures) / report.wall_s, 1),
        "bare_s": round(bare, 2),
        "cpu_bound_s": round(by_cpu, 2),
        "wall_s": round(report.wall_s, 2),
        "ratio": round(bare / report.wall_s, 2),
        "ratio_of_slower": round(max(bare, by_cpu) / report.wall_s, 2),
        "thread_seconds": {step: round(seconds, 1) for step, seconds in report.seconds.items()},
    }


def reading(folder: Path, n: int, dim: int, rounds: int) -> dict[str, Any]:
    """Compare reading vectors by id with reading the bytes of the same files, and with other formats."""
    backbone = Backbone("bench", "photo", 8, "centre", (0, 0, 0), (1, 1, 1), build=lambda _: torch.nn.Identity())
    layout = Layout(folder)
    X = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    ids = [f"p{i:07d}" for i in range(n)]
    on = VectorWriter(layout, Encoder("bench", backbone, "top", dim, "l2", "", ""), "")
    wanted = pl.DataFrame({"photo_id": ids, "sha256": ids})
    for start in range(0, n, 20_000):
        part = slice(start, start + 20_000)
        on.append(ids[part], ids[part], [False] * len(ids[part]), X[part])
    sealing = _seconds(lambda: on.commit(wanted))
    files = sorted(layout.embeddings("bench").glob("*.parquet"))
    pairs = []
    for _ in range(max(rounds, 3)):
        raw = _seconds(lambda: [path.read_bytes() for path in files])
        ours = _seconds(lambda: reader.VectorSet(layout, "bench").read())
        pairs.append((ours / raw, raw, ours))
    ratio, raw, ours = sorted(pairs)[len(pairs) // 2]
    found, Y = reader.read(layout, "bench")
    assert found == ids
    assert np.array_equal(X, Y)
    zstd = folder / "zstd.parquet"
    table = pl.read_parquet(files)
    table.write_parquet(zstd, compression="zstd", row_group_size=8192)
    return {
        "what": f"read {n} x {dim} float32",
        "bytes_s": round(raw, 2),
        "ours_s": round(ours, 2),
        "ratio": round(ratio, 2),
        "seal_s": round(sealing, 1),
        "MB": round(sum(path.stat().st_size for path in files) / 1e6),
        "zstd_MB": round(zstd.stat().st_size / 1e6),
        "zstd_s": round(_seconds(lambda: pl.read_parquet(zstd)), 2),
    }


@functools.cache
def _inception() -> Encoder:
    """Return Inception v3 with random weights, which has the same speed as the published one."""

    def build(_: Path | None) -> torch.nn.Module:
        torch.manual_seed(0)
        net = InceptionV3()
        net.network.AuxLogits, net.network.fc = None, torch.nn.Identity()
        return fuse_batchnorm(net)

    b = PUBLISHED["inception_v3"].backbone
    backbone = Backbone("inception_v3_random", b.input, b.size, b.crop, b.mean, b.std, build)
    return register(Encoder("inception_v3_random", backbone, "prelogits", 2048, "cosine", "", ""))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

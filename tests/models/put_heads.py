"""Runs without training: heads that predict a known number, with figures that a test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch

from photogenic import FeatureStore
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.heads.model import Model
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import Run

SCHEMA = {"run_id": pl.String, "photo_id": pl.String, "split": pl.String, "prediction": pl.Float64}
DEV = tuple(f"dev{n}" for n in range(10))


class Mean(torch.nn.Module):
    """A network that computes the mean brightness of a picture."""

    def forward(self, x):
        return {"mean": x.mean((1, 2, 3))[:, None]}


def put_encoder(name: str, kind: str = "photo") -> None:
    """Register an encoder of brightness, of whole photos or of faces."""
    backbone = Backbone(name, kind, 32 if kind == "photo" else 150, "centre" if kind == "photo" else "dlib",
                        (0, 0, 0), (255, 255, 255), lambda _: Mean())  # fmt: skip
    ENCODERS[name] = Encoder(name, backbone, "mean", 1, "l2", "none", "nobody")


@dataclass
class Head:
    """A run whose head predicts `says` for every picture. `dev_photos`: photos on which `dev` was measured."""

    run_id: str
    says: float
    dev: float = 0.1
    setup: str = "one_face"
    encoder: str = "bright"
    target: str = "like_ratio"
    division: str = "8:1:1"
    dev_photos: Sequence[str] = field(default=DEV)


def put_heads(store: FeatureStore, *heads: Head) -> None:
    """Write the runs to disk and to the warehouse, in this order of time."""
    made, said = [], []
    for head in heads:
        parts = head.encoder.split("+")
        arrays = {"output.weight": np.zeros(len(parts), "f4"), "output.bias": np.array(head.says, "f4")}
        arrays |= {"mean": np.zeros(len(parts), "f4"), "scale": np.ones(len(parts), "f4")}
        digests = {part: ENCODERS[part].digest(FaceSettings().digest) for part in parts}
        metric = "mse" if head.target == "like_ratio" else "accuracy"
        run = Run(
            head.run_id, head.target, head.setup, head.encoder, "0fc", metric, head.dev, 0.1, 0.2, 10, 2, 2, len(parts),
            "fc", "identity", digests, "", {"division": head.division}, {"conformal": {"radius": 0.1}},
        )  # fmt: skip
        made.append(run_store.save(store.layout, run, Model("fc", "identity", arrays)))
        split = "test" if "folds" in head.division else "dev"
        said += [(head.run_id, photo_id, split, head.says) for photo_id in head.dev_photos]
    run_store.record(store.database, made, pl.DataFrame(said, schema=SCHEMA, orient="row"))

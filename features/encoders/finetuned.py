"""Networks that `features finetune` trained. Each is an encoder named after the run that made it.

    encoder("efficientnet_lite0@3f2a9c01d4e5", layout.models)

    models/<run_id>/network.safetensors   the weights, with separate batch normalization
    models/<run_id>/encoder.json          the encoder's entry and the SHA-256 of the weights; written last

The name is known in the store of the run only, so every lookup takes the folder `models/` of a store.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from photogenic._lazy import nn, safetensors
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.published import PUBLISHED
from photogenic.features.encoders.weights import Weights
from photogenic.warehouse import EncoderError, InputError, StoreError
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.layout import write_atomically
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, read_limited, to_dataclass

__all__ = [
    "TUNABLE",
    "base_encoder",
    "finetuned_encoder",
    "finetuned_encoders",
    "publish_encoder",
    "run_of",
    "trainable",
]

TUNABLE = {"alexnet": "alexnet_fc7", "efficientnet_lite0": "efficientnet_lite0", "inception_v3": "inception_v3"}
"""Backbones that can be fine-tuned, and the published encoder whose layer feeds the new output layer."""

_NAME = re.compile(r"([a-z0-9_]+)@([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class _Entry:
    """Content of encoder.json. `base_sha256` is empty if training started from random weights."""

    name: str
    backbone: str
    layer: str
    dim: int
    target: str
    setup: str
    weights_sha256: str
    base_sha256: str
    created_at: str


def base_encoder(backbone: str) -> Encoder:
    """The published encoder that fine-tuning starts from.

    Raises:
        InputError: The backbone is not in `TUNABLE`.
    """
    if backbone not in TUNABLE:
        raise InputError(
            f"{backbone!r} cannot be fine-tuned.", f"one of {', '.join(TUNABLE)}", "--backbone efficientnet_lite0"
        )
    return PUBLISHED[TUNABLE[backbone]]


def finetuned_encoder(name: str, models: Path | None) -> Encoder:
    """The encoder of that name.

    Args:
        name: `BACKBONE@RUN_ID`.
        models: Folder `models/` of the store; None: no store is at hand, and the lookup fails.

    Raises:
        EncoderError: The store has no such network.
    """
    if models is None:
        raise EncoderError(
            f"No encoder is called {name!r} outside a store: fine-tuned networks are known in their own store only.",
            "the folder models/ of the store",
            f"encoder({name!r}, models=FeatureStore(...).layout.models)",
        )
    if found := _NAME.fullmatch(name):
        path = models / found[2] / "encoder.json"
        if path.is_file():
            entry = _read(path.absolute(), path.stat().st_mtime_ns)
            if entry.name == name:
                return entry
    known = [entry.name for entry in finetuned_encoders(models)]
    raise EncoderError(
        f"No encoder is called {name!r}: no network of that name was fine-tuned in this store.",
        f"one of {', '.join(known)}" if known else "BACKBONE@RUN_ID, of a run of features finetune",
        "features encoders",
    )


def finetuned_encoders(models: Path) -> Iterator[Encoder]:
    """All fine-tuned networks of a store, by run.

    Args:
        models: Folder `models/` of the store.
    """
    for path in sorted(models.glob("*/encoder.json")):
        yield _read(path.absolute(), path.stat().st_mtime_ns)


def run_of(name: str) -> str | None:
    """ID of the run that fine-tuned an encoder, from its name; None: it is not a fine-tuned one."""
    found = _NAME.fullmatch(name)
    return found[2] if found else None


def publish_encoder(folder: Path, backbone: str, *, target: str, setup: str, base_sha256: str) -> Encoder:
    """Make an encoder of the `network.safetensors` in a run's folder: write encoder.json beside it.

    Args:
        folder: Folder models/<run_id> of a store.
        backbone: Key of `TUNABLE`.
        target: Target that the network was trained for.
        setup: Setup that it was trained on.
        base_sha256: SHA-256 of the weights that training started from; empty: random weights.
    """
    start, path = base_encoder(backbone), folder / "network.safetensors"
    facts = {
        "name": f"{backbone}@{folder.name}",
        "backbone": backbone,
        "layer": start.layer,
        "dim": start.dim,
        "target": target,
        "setup": setup,
        "weights_sha256": digest(path),
        "base_sha256": base_sha256,
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    write_atomically(folder / "encoder.json", dump_with_digest(facts))
    return _read(folder / "encoder.json", (folder / "encoder.json").stat().st_mtime_ns)


def trainable(backbone: str, path: Path | None) -> nn.Module:
    """The network without its classifier and with separate batch normalization; its forward returns layers by name.

    Args:
        backbone: Key of `TUNABLE`.
        path: Published weights; None: random weights by torch's generator.
    """
    kind = _network(backbone)
    return kind.load_trainable(path) if path is not None else kind().remove_classifier()  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=256)
def _read(path: Path, _mtime_ns: int) -> Encoder:
    try:
        facts = to_dataclass(_Entry, load_with_digest(read_limited(path)))
        start = base_encoder(facts.backbone)
    except (OSError, ValueError, TypeError, InputError) as error:
        raise StoreError(
            f"{path} is damaged: {error}", "what features finetune wrote there", f"remove {path.parent} and train again"
        ) from error
    made = Weights(
        facts.name,
        "network.safetensors",
        facts.weights_sha256,
        start.licence,
        path=path.with_name("network.safetensors"),
    )
    backbone: Backbone = replace(
        start.backbone, name=facts.name, weights=made, build=functools.partial(_built, facts.backbone)
    )
    source = f"{facts.backbone}, fine-tuned here for {facts.target} on {facts.setup}"
    return Encoder(facts.name, backbone, facts.layer, facts.dim, start.metric, start.licence, source)


def _built(backbone: str, path: Path | None) -> nn.Module:

    from photogenic.features.encoders.networks.fuse_batchnorm import fuse_batchnorm

    assert path is not None
    network: nn.Module = _network(backbone)().remove_classifier()
    network.load_state_dict(safetensors.torch.load_file(path))
    return fuse_batchnorm(network)


def _network(backbone: str) -> Any:
    from photogenic.features.encoders.networks import imagenet

    classes = {
        "alexnet": imagenet.AlexNet,
        "efficientnet_lite0": imagenet.EfficientNetLite0,
        "inception_v3": imagenet.InceptionV3,
    }
    return classes[backbone]

"""Networks that `features finetune` trained, as encoders, named after the run that made them.

    encoder("efficientnet_lite0@3f2a9c01d4e5")

    models/<run_id>/network.safetensors   the weights, batch normalisation apart
    models/<run_id>/encoder.json          what they are and their digest; written last

Such a name means something only where the run is: in the stores that this process opened.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic.features.encoders.backbones import Backbone
from photogenic.features.encoders.registry import ENCODERS, Encoder
from photogenic.features.encoders.weights import Weights
from photogenic.warehouse import EncoderError, InputError, StoreError
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.layout import write_atomically
from photogenic.warehouse.storage.manifest import contents, sealed, shaped, unsealed

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "TUNABLE",
    "base",
    "look_in",
    "publish_encoder",
    "run_of",
    "trainable",
    "tuned_encoder",
    "tuned_encoders",
]

TUNABLE = {"alexnet": "alexnet_fc7", "efficientnet_lite0": "efficientnet_lite0", "inception_v3": "inception_v3"}
"""Backbones that can be fine-tuned, and the encoder whose layer carries the new last one."""

_NAME = re.compile(r"([a-z0-9_]+)@([0-9a-f]{12})")

_folders: dict[Path, None] = {}


@dataclass(frozen=True, slots=True)
class _Facts:
    """Of encoder.json. `base_sha256` is of the weights it began with; empty: they were drawn."""

    name: str
    backbone: str
    layer: str
    dim: int
    target: str
    setup: str
    weights_sha256: str
    base_sha256: str
    created_at: str


def base(backbone: str) -> Encoder:
    """The published encoder that fine-tuning starts from.

    Raises:
        InputError: the backbone is none of `TUNABLE`.
    """
    if backbone not in TUNABLE:
        raise InputError(
            f"{backbone!r} cannot be fine-tuned.", f"one of {', '.join(TUNABLE)}", "--backbone efficientnet_lite0"
        )
    return ENCODERS[TUNABLE[backbone]]


def look_in(models: Path) -> None:
    """Fine-tuned networks in this folder, `models/` of a store, are known by name from now on."""
    models = models.absolute()
    _folders.pop(models, None)
    _folders[models] = None


def tuned_encoder(name: str) -> Encoder:
    """The encoder of that name; of two stores that have one, that of the store opened last.

    Raises:
        EncoderError: no opened store has it.
    """
    if found := _NAME.fullmatch(name):
        for models in reversed(_folders):
            path = models / found[2] / "encoder.json"
            if path.is_file():
                entry = _read(path, path.stat().st_mtime_ns)
                if entry.name == name:
                    return entry
    known = [entry.name for entry in tuned_encoders()]
    raise EncoderError(
        f"No encoder is called {name!r}: no network of that name was fine-tuned in this store.",
        f"one of {', '.join(known)}" if known else "BACKBONE@RUN_ID, of a run of features finetune",
        "features encoders",
    )


def tuned_encoders() -> Iterator[Encoder]:
    """All of the stores that this process opened, by run."""
    for models in _folders:
        for path in sorted(models.glob("*/encoder.json")):
            yield _read(path, path.stat().st_mtime_ns)


def run_of(name: str) -> str | None:
    """The run that fine-tuned an encoder; None: it is no fine-tuned one."""
    found = _NAME.fullmatch(name)
    return found[2] if found else None


def publish_encoder(folder: Path, backbone: str, *, target: str, setup: str, base_sha256: str) -> Encoder:
    """Make the `network.safetensors` in a run's folder an encoder.

    Args:
        folder: models/<run_id> of a store.
        backbone: of `TUNABLE`.
        target: that it was trained for.
        setup: on whose photos.
        base_sha256: of the weights it began with.
    """
    start, path = base(backbone), folder / "network.safetensors"
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
    write_atomically(folder / "encoder.json", sealed(facts))
    return _read(folder / "encoder.json", (folder / "encoder.json").stat().st_mtime_ns)


def trainable(backbone: str, path: Path | None) -> nn.Module:
    """The network, batch normalisation apart and its classifier cut off; its forward returns layers by name.

    Args:
        backbone: of `TUNABLE`.
        path: the published weights; None: they are drawn, by torch's generator.
    """
    kind = _network(backbone)
    return kind.whole(path) if path is not None else kind().cut()  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=256)
def _read(path: Path, _mtime_ns: int) -> Encoder:
    try:
        facts = shaped(_Facts, unsealed(contents(path)))
        start = base(facts.backbone)
    except (OSError, ValueError, TypeError, InputError) as error:
        raise StoreError(
            f"{path} is damaged: {error}", "what features finetune wrote there", f"remove {path.parent} and train again"
        ) from error
    made = Weights(
        facts.name,
        "network.safetensors",
        facts.weights_sha256,
        start.licence,
        held=path.with_name("network.safetensors"),
    )
    backbone: Backbone = replace(
        start.backbone, name=facts.name, weights=made, build=functools.partial(_built, facts.backbone)
    )
    source = f"{facts.backbone}, fine-tuned here for {facts.target} on {facts.setup}"
    return Encoder(facts.name, backbone, facts.layer, facts.dim, start.metric, start.licence, source)


def _built(backbone: str, path: Path | None) -> nn.Module:
    from safetensors.torch import load_file

    from photogenic.features.encoders.networks.fuse_batchnorm import folded

    assert path is not None
    network: nn.Module = _network(backbone)().cut()
    network.load_state_dict(load_file(path))
    return folded(network)


def _network(backbone: str) -> Any:
    from photogenic.features.encoders.networks import imagenet

    classes = {
        "alexnet": imagenet.AlexNet,
        "efficientnet_lite0": imagenet.EfficientNetLite0,
        "inception_v3": imagenet.InceptionV3,
    }
    return classes[backbone]

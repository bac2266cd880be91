"""Image models of timm as encoders: `timm:NAME` gives the pooled features of a picture as the model was trained on."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Any

from photogenic._lazy import nn, timm, torch
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.weights import Weights
from photogenic.warehouse import EncoderError

__all__ = ["timm_encoder"]


@functools.cache
def timm_encoder(name: str) -> Encoder:
    """The encoder `timm:MODEL` or `timm:MODEL.TAG`.

    Raises:
        EncoderError: timm has no published weights for it, or its input is not square.
    """
    model = name.removeprefix("timm:")
    cfg = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        near = difflib.get_close_matches(model, timm.list_pretrained(), n=3, cutoff=0.4)
        raise EncoderError(
            f"timm has no published weights for {model!r}.",
            "a name of timm.list_pretrained()",
            f"--encoder timm:{near[0]}" if near else "python -c 'import timm; print(timm.list_pretrained())'",
        )
    _, height, width = cfg.input_size
    if height != width:
        raise EncoderError(
            f"{name} takes pictures of {width} x {height} pixels.", "a square input", "another model of timm"
        )
    with torch.device("meta"):
        network: Any = timm.create_model(model, num_classes=0)
        dim = network(torch.empty(1, 3, height, width)).shape[-1]
    red, green, blue = (255 * value for value in cfg.mean)
    red_std, green_std, blue_std = (255 * value for value in cfg.std)
    backbone = Backbone(
        name,
        input="photo",
        size=height,
        crop="centre",
        crop_pct=cfg.crop_pct,
        mean=(red, green, blue),
        std=(red_std, green_std, blue_std),
        build=functools.partial(_build, model),
        weights=_weights(name, model, cfg),
    )
    source = f"timm {cfg.architecture}; {cfg.paper_ids or cfg.origin_url or cfg.hf_hub_id}"
    return Encoder(name, backbone, "pooled", dim, "cosine", cfg.license or "not stated", source)


def _weights(name: str, model: str, cfg: Any) -> Weights:
    """Timm publishes no SHA-256: names and shapes are checked, and the manifest of the vectors records the digest."""
    if cfg.hf_hub_id:
        url = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/model.safetensors"
        return Weights(name, f"timm--{model}.safetensors", "", cfg.license or "not stated", url=url)
    return Weights(name, f"timm--{model}{Path(cfg.url).suffix}", "", cfg.license or "not stated", url=cfg.url)


def _build(model: str, path: Path | None) -> nn.Module:

    from photogenic.features.encoders.networks.layers import Pooled

    # Loaded with the classifier, so that timm checks every name; the classifier is removed afterwards.
    network: Any = timm.create_model(model, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    network.reset_classifier(0)
    return Pooled(network)

"""A cheap encoder for FEATURES_ENCODERS: the mean colors of the four quarters of a photo."""

from __future__ import annotations

from photogenic import feature
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.registry import ENCODERS, register


def _network(_: object) -> object:
    import torch

    class Quarters(torch.nn.Module):
        def forward(self, x):
            return {"mean": torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)}

    return Quarters()


if "mean_colour" not in ENCODERS:
    backbone = Backbone("quarters", "photo", 32, "centre", (0, 0, 0), (255, 255, 255), _network)
    register(Encoder("mean_colour", backbone, "mean", dim=12, metric="l2", licence="CC0-1.0", source="tests"))


@feature(columns={"redness": "double: mean of red minus the mean of green"})
def redness(pixels):
    red, green, _ = pixels.reshape(-1, 3).mean(axis=0)
    return {"redness": red - green}

"""A feature of a user that takes some milliseconds, for bench_pictures."""

from __future__ import annotations

from photogenic import feature


@feature(columns={"edges": "double: mean difference of neighboring pixels, 0 to 255"})
def bench_edges(pixels):
    """How much neighboring pixels differ."""
    luma = pixels.mean(axis=2)
    return {"edges": float(abs(luma[1:] - luma[:-1]).mean() + abs(luma[:, 1:] - luma[:, :-1]).mean())}

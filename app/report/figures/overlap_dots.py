"""Overlap of the neighbors by two encoders: one row per group of photos and depth, with intervals and chance."""

from __future__ import annotations

from collections.abc import Sequence

from photogenic._lazy import matplotlib
from photogenic.app.report.figures.drawing import COLORS, DIM, key, panels
from photogenic.models.encoder_change.overlap import OverlapRow

__all__ = ["overlap_dots"]


def overlap_dots(rows: Sequence[OverlapRow]) -> matplotlib.figure.Figure | None:
    """Draw each value, 0 to 1, with its interval and what chance would give; None without values."""
    shown = [(row, row.value, row.by_chance or 0.0) for row in rows if row.value is not None]
    if not shown:
        return None
    figure, ((panel,),) = panels(1, 1, width=7.5, height=0.6 + 0.24 * len(shown))
    for at, (row, value, by_chance) in enumerate(shown):
        color = COLORS[0] if row.among == "all" else COLORS[1]
        if row.low is not None and row.high is not None:
            panel.plot([row.low, row.high], [at, at], color=color, linewidth=2.2, solid_capstyle="round")
        panel.plot([value], [at], "o", color=color, markersize=5)
        panel.plot([by_chance], [at], "|", color=DIM, markersize=9, markeredgewidth=1.6)
    panel.set_yticks(range(len(shown)), [f"{row.among}, {row.measure}" for row, _, _ in shown])
    panel.set(xlim=(-0.01, 1.01), xlabel="share of neighbors in common")
    panel.set_ylim(len(shown) - 0.4, -0.6)
    key(
        figure,
        [
            ("among all photos", {"color": COLORS[0], "marker": "o"}),
            ("within gender", {"color": COLORS[1], "marker": "o"}),
            ("by chance", {"color": DIM, "marker": "|", "linestyle": ""}),
        ],
    )
    return figure

"""Table 1 as a heat map: like ratio by the genders of sender and recipient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from photogenic._lazy import matplotlib
from photogenic.app.report.figures.drawing import INK, RAMP, panels
from photogenic.models.evaluation.gender_table import Pair

__all__ = ["heat_map"]

_GENDERS = ("female", "male", "other", "unknown")


def heat_map(pairs: Sequence[Pair]) -> matplotlib.figure.Figure | None:
    """Draw the like ratio, 0 to 1, by gender of sender (rows) and recipient (columns); None without swipes."""
    cells = {(pair.sender or "unknown", pair.recipient or "unknown"): pair for pair in pairs}
    senders = [name for name in _GENDERS if any(key[0] == name for key in cells)]
    recipients = [name for name in _GENDERS if any(key[1] == name for key in cells)]
    if not cells:
        return None
    figure, ((panel,),) = panels(1, 1, width=1.5 + 1.25 * len(recipients), height=0.8 + 0.75 * len(senders))
    ratios = np.array([[getattr(cells.get((s, r)), "like_ratio", np.nan) for r in recipients] for s in senders])
    drawn = panel.pcolormesh(ratios, cmap=RAMP, vmin=0, vmax=1, edgecolors="none")
    for row, sender in enumerate(senders):
        for column, recipient in enumerate(recipients):
            pair = cells.get((sender, recipient))
            if pair is None:
                continue
            ink = "#ffffff" if pair.like_ratio < 0.55 else "#000000"
            lines = [f"n = {pair.n_swipes:,}"]
            if pair.low is not None and pair.high is not None:
                lines.insert(0, f"{pair.low:.2f} to {pair.high:.2f}")
            at: dict[str, Any] = {"ha": "center", "color": ink}
            panel.text(column + 0.5, row + 0.46, f"{pair.like_ratio:.2f}", fontsize=13, fontweight="bold", **at)
            for line, text in enumerate(lines):
                panel.text(column + 0.5, row + 0.67 + 0.18 * line, text, fontsize=7.5, **at)
    panel.invert_yaxis()
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.set_xticks(np.arange(len(recipients)) + 0.5, recipients, color=INK)
    panel.set_yticks(np.arange(len(senders)) + 0.5, senders, color=INK)
    panel.set(xlabel="recipient", ylabel="sender")
    bar = figure.colorbar(drawn, ax=panel, shrink=0.85, label="like ratio")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK)
    bar.ax.yaxis.label.set(fontsize=8.5, color=INK)
    return figure

"""Map of the photos, on which photos with similar embeddings are near each other.

Embeddings are projected to two dimensions by t-SNE with a fixed seed. Neighborhoods are kept; distances between
clusters have no meaning.

Source: van der Maaten & Hinton 2008; the map of Karpathy's selfies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from photogenic._lazy import matplotlib, sklearn
from photogenic.app.report.figures.drawing import DIM, INK, RAMP, panels, titled
from photogenic.models.data.array_types import Array

__all__ = ["MOST", "crowd", "embedding_maps", "laid_out", "sample"]

MOST = 800
"""Largest number of photos on a map; larger stores are sampled, so that a map takes seconds."""

_FEWEST = 10
_COLOR_LABEL = "like ratio"


def laid_out(X: Array, *, seed: int = 0) -> Array | None:
    """Project vectors (n, d) to places (n, 2) in 0..1; None for fewer than 10 vectors."""
    if len(X) < _FEWEST:
        return None
    spread = X.std(0)
    scaled = (X - X.mean(0)) / np.where(spread > 1e-6, spread, 1)
    parts = min(30, *scaled.shape)
    fewer = sklearn.decomposition.PCA(parts, svd_solver="randomized", random_state=seed).fit_transform(scaled)
    perplexity = min(30.0, (len(X) - 1) / 3)
    places = sklearn.manifold.TSNE(
        2, perplexity=perplexity, init="pca", max_iter=500, random_state=seed, n_jobs=1
    ).fit_transform(fewer)
    low, high = places.min(0), places.max(0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-9))


def embedding_maps(maps: Mapping[str, tuple[Array, Sequence[float | None]]]) -> matplotlib.figure.Figure | None:
    """Draw a panel per encoder with the places in the color of the like ratio; None without maps.

    Photos without a like ratio are drawn as outlines.

    Args:
        maps: Encoder -> (places (n, 2), like ratio of each photo).
    """
    if not maps:
        return None
    columns = min(3, len(maps))
    figure, axes = panels(math.ceil(len(maps) / columns), columns, height=3.4)
    shown = [panel for line in axes for panel in line]
    for panel in shown:
        panel.set_axis_off()
    drawn = None
    for panel, (encoder, (places, ratios)) in zip(shown, maps.items(), strict=False):
        known = np.array([ratio is not None for ratio in ratios])
        color = np.array([ratio for ratio in ratios if ratio is not None], np.float64)
        panel.scatter(places[~known, 0], places[~known, 1], s=9, facecolors="none", edgecolors=DIM, linewidths=0.5)
        drawn = panel.scatter(
            places[known, 0], places[known, 1], s=13, c=color, cmap=RAMP, vmin=0, vmax=1, linewidths=0
        )
        titled(panel, f"{encoder} (n = {len(places):,})")
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=shown, shrink=0.7, label=_COLOR_LABEL)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8, colors=INK)
        bar.ax.yaxis.label.set(fontsize=8.5, color=INK)
    return figure


def crowd(places: Array, columns: int, rows: int) -> list[tuple[int, int, int]]:
    """Assign photos to the nearest free cells of a grid; photos without a free cell nearby are left out.

    Returns: (photo, column, row) of each assigned photo.

    Args:
        places: Places (n, 2) in 0..1.
        columns: Number of columns of the grid.
        rows: Number of rows of the grid.
    """
    taken: set[tuple[int, int]] = set()
    found = []
    for photo, (x, y) in enumerate(places.tolist()):
        at = min(int(x * columns), columns - 1), min(int((1 - y) * rows), rows - 1)
        near = [(at[0] + i, at[1] + j) for i in (0, 1, -1) for j in (0, 1, -1)]
        free = [cell for cell in near if cell not in taken and 0 <= cell[0] < columns and 0 <= cell[1] < rows]
        if free:
            taken.add(free[0])
            found.append((photo, *free[0]))
    return found


def sample(n: int, *, seed: int = 0) -> Any:
    """Return the sorted indices of a random sample of at most `MOST` of `n` photos."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST])

"""Calibration figures: predicted against observed values, coverage of bounds, and errors by group of people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from photogenic._lazy import matplotlib, pl
from photogenic.app.report.figures.drawing import COLORS, DIM, INK, LINE, MARKERS, panels, titled
from photogenic.app.report.figures.run_selection import title, words
from photogenic.models.compare_runs import by_photo
from photogenic.models.data.targets import is_column, recorded
from photogenic.models.evaluation.metrics import bootstrap, interval, rank_correlation
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import Slice, by_value
from photogenic.models.evaluation.wilson import effective_sample_size, per_user, wilson

__all__ = ["Bin", "bins", "calibration", "coverage", "slices", "with_labels"]

Interval = tuple[float | None, float | None, float | None]

_MOST, _PER_BIN = 10, 12
"""Largest number of bins, and smallest number of photos per bin."""

_AXES = {
    "like_ratio": ("predicted like ratio", "observed like ratio"),
    "popular": ("predicted probability", "share that is popular"),
    "gender": ("predicted probability", "share of women"),
}


@dataclass(frozen=True, slots=True)
class Bin:
    """Photos with similar predictions. `observed` is the mean with its 95 % interval over users."""

    n_photos: int
    predicted: float
    observed: Interval


def with_labels(target: str, rows: Sequence[Mapping[str, Any]]) -> Predictions:
    """Convert rows of `labeled_predictions` to predictions with labels and weights of the target.

    Rows with unknown labels are left out.
    """
    known = [(row, y) for row in rows if (y := _label(target, row)) is not None]
    weight = [row["weight"] if target == "like_ratio" else row.get("y_weight", 1.0) for row, _ in known]
    p = np.array([row["prediction"] for row, _ in known], np.float64)
    return Predictions(
        photo_ids=np.array([row["photo_id"] for row, _ in known], np.str_),
        user_ids=np.array([row["user_id"] for row, _ in known], np.str_),
        gender=np.array([row["gender"] or "" for row, _ in known], np.str_),
        y=np.array([y for _, y in known], np.float64),
        p=p,
        weight=np.array(weight, np.float64),
        constant=np.full(len(p), np.nan),
    )


def _label(target: str, row: Mapping[str, Any]) -> float | None:
    if target == "gender":
        return {"female": 1.0, "male": 0.0}.get(row["gender"])
    value = row.get("y" if is_column(target) else target)
    return None if value is None else float(value)


def bins(of: Predictions, *, seed: int = 0) -> list[Bin]:
    """Divide photos by prediction into bins of equal size."""
    n = min(_MOST, max(len(of.y) // _PER_BIN, 1))
    found = []
    for rows in np.array_split(np.argsort(of.p, kind="stable"), n):
        if not len(rows):
            continue
        weight = of.weight[rows]
        sums = per_user(np.stack([weight, weight * of.y[rows]], 1), of.user_ids[rows])
        draws = bootstrap(sums, np.random.default_rng(seed))
        low, high = interval(draws[:, 1] / draws[:, 0]) if len(sums) > 1 else (None, None)
        share = float(np.average(of.y[rows], weights=weight))
        if np.isin(of.y, (0, 1)).all():  # binary labels: the bootstrap has no width for a bin with equal labels
            low, high = wilson(share, effective_sample_size(weight, of.user_ids[rows]))
        observed = share, low, high
        found.append(Bin(len(rows), float(np.average(of.p[rows], weights=weight)), observed))
    return found


def coverage(of: Predictions, reach: float) -> Interval:
    """Return the share of photos within `reach` of their prediction, with its 95 % interval over users."""
    held = (np.abs(of.y - of.p) <= reach).astype(np.float64)
    low, high = wilson(float(held.mean()), effective_sample_size(np.ones_like(held), of.user_ids))
    return float(held.mean()), low, high


def calibration(
    found: Sequence[tuple[Mapping[str, Any], Predictions]],
) -> tuple[matplotlib.figure.Figure, list[str]] | None:
    """Draw a calibration panel per run, and return a sentence on each; None without predictions."""
    found = [(run, of) for run, of in found if len(of.y)]
    if not found:
        return None
    columns = min(len(found), 3)
    figure, axes = panels(math.ceil(len(found) / columns), columns, width=3.7, height=3.4)
    places = [panel for line in axes for panel in line]
    for panel in places[len(found) :]:
        panel.set_axis_off()
    says = []
    for at, (panel, (run, of)) in enumerate(zip(places, found, strict=False)):
        color, made = COLORS[at % len(COLORS)], bins(of)
        kind = recorded(run["target"], run["metric"])
        ends = (0.0, 1.0) if kind.bounded else _ends(of)
        panel.plot(ends, ends, color=DIM, linewidth=1, linestyle="--")
        whose = f"{title(run['target'])}, {run['reads']} {run['head']}"
        says.append(f"{whose}: {len(of.y):,} test photos in {len(made)} bins.")
        limit = (run["results"].get("conformal") or {}) if kind.metric == "mse" else {}
        if limit:
            reach, line = limit["radius"], np.linspace(*ends, 201)
            low, high = line - reach, line + reach
            if kind.bounded:
                low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
            panel.fill_between(line, low, high, color=LINE, alpha=0.5, lw=0)
            share, least, most = coverage(of, reach)
            between = "" if least is None or most is None else f" (95 % {least:.1%} to {most:.1%})"
            held = f"Bounds of {limit['level']:.0%}, in gray, contain {share:.1%}{between} of them."
            says[-1] += " " + held.replace("%", " %").replace("  %", " %")
        if kind.metric == "mse":
            panel.plot(of.p, of.y, ".", color=DIM, alpha=0.55, markersize=4, markeredgewidth=0)
        _with_bars(panel, [b.predicted for b in made], [b.observed for b in made], color, MARKERS[at % len(MARKERS)])
        across, up = _AXES.get(run["target"]) or (
            ("predicted", "observed") if kind.metric == "mse" else ("predicted probability", "share that is true")
        )
        room = 0.02 * (ends[1] - ends[0])
        limits = ends[0] - room, ends[1] + room
        panel.set(xlim=limits, ylim=limits, aspect="equal", xlabel=across, ylabel=up)
        titled(panel, f"{words(run['target'])}: {run['reads']}, {run['head']}")
    return figure, says


def _ends(of: Predictions) -> tuple[float, float]:
    """Return the smallest and largest label or prediction."""
    low, high = float(min(of.y.min(), of.p.min())), float(max(of.y.max(), of.p.max()))
    return (low, high) if high > low else (low - 1, high + 1)


def _with_bars(panel: Any, x: Sequence[float], y: Sequence[Interval], color: str, marker: str) -> None:
    down = [0 if low is None else max(value - low, 0) for value, low, _ in y if value is not None]
    above = [0 if high is None else max(high - value, 0) for value, _, high in y if value is not None]
    panel.errorbar(
        x, [value for value, _, _ in y], [down, above], fmt=marker, color=color, markersize=5, linewidth=1.5, capsize=2
    )


def slices(
    run: Mapping[str, Any], of: Predictions, columns: pl.DataFrame | None
) -> tuple[matplotlib.figure.Figure, list[str]] | None:
    """Draw error, bias and rank correlation by group, and return a sentence on each group with a much larger error.

    Args:
        run: Row of `runs`.
        of: Test predictions of the run with labels.
        columns: Columns of the user's slices; None: only gender.
    """
    kind = recorded(run["target"], run["metric"])
    values = {"gender": np.where(of.gender == "", "unknown", of.gender)}
    values |= {} if columns is None else by_photo(columns, of)
    found = [one for column, of_each in values.items() for one in by_value(kind, column, of_each, of)]
    if not found:
        return None
    wrong = (of.y - of.p) ** 2 if kind.metric == "mse" else (of.p >= 0.5) != (of.y == 1)
    whole = {
        "error": float(np.average(wrong, weights=of.weight)),
        "bias": float(np.average(of.p - of.y, weights=of.weight)),
        "spearman": rank_correlation(of.y, of.p, of.user_ids, np.random.default_rng(0))[0],
    }
    warnings = [
        f"{one.ratio[0]:.1f} x (95 % {one.ratio[1]:.2f} to {one.ratio[2]:.2f}) the error of all others where "
        f"{one.column} is {one.value} ({one.n_photos:,} photos)."
        for one in found
        if one.warning
    ]
    return _forest(found, whole, kind.error_words), warnings


def _forest(found: Sequence[Slice], whole: Mapping[str, float | None], wrong: str) -> matplotlib.figure.Figure:
    """Draw one line per group and one panel per metric; dashed lines are the values of all photos."""
    figure, axes = panels(1, 3, height=0.55 + 0.34 * len(found), sharey=True)
    titles = {"error": wrong, "bias": "bias: predicted minus observed", "spearman": "rank correlation"}
    for panel, (name, label) in zip(axes[0], titles.items(), strict=True):
        for place, one in enumerate(found):
            value, low, high = getattr(one, name)
            if value is None:
                where = ("axes fraction", "data")
                panel.annotate("too few", (0.02, place), xycoords=where, fontsize=8, color=DIM, va="center")
                continue
            color = COLORS[1] if one.warning else COLORS[0]
            if low is not None and high is not None:
                panel.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
            panel.plot(value, place, "D" if one.warning else "o", color=color, markersize=6)
        if (middle := whole[name]) is not None:
            panel.axvline(middle, color=DIM, linewidth=1, linestyle="--")
        panel.set_xlabel(label)
        panel.margins(x=0.15)
        drawn = [bound for one in found for bound in getattr(one, name) if bound is not None]
        if name == "error":
            widest = 1.1 * max([*drawn, middle or 0.0]) or 0.1
            panel.set_xlim(-0.03 * widest, widest)
        elif name == "spearman":
            panel.set_xlim(min([0.0, *drawn]) * 1.1, 1)
    names = [f"{one.column}: {one.value} (n = {one.n_photos:,})" for one in found]
    axes[0][0].set_yticks(range(len(found)), names, color=INK)
    axes[0][0].set_ylim(len(found) - 0.4, -0.6)
    return figure

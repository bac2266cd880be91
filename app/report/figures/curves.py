"""Training curves of heads: loss by epoch on train and dev, and average precision by penalty on folds of train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from photogenic._lazy import matplotlib
from photogenic.app.report.figures.drawing import COLORS, DIM, INK, MARKERS, key, panels, titled
from photogenic.app.report.figures.run_selection import Run, by_encoder, words
from photogenic.models.data.targets import names_in
from photogenic.models.heads.registry import head as head_named

__all__ = ["learning_curves", "penalty_curves"]

_LOSS = {"mse": "mean squared error", "accuracy": "log-loss"}
"""Metric of a run -> loss of its training."""


def learning_curves(runs: Sequence[Run]) -> matplotlib.figure.Figure | None:
    """Draw losses with a row per target, a panel per encoder and a color per head; None without curves.

    The evaluation whose weights were kept is marked.
    """
    rows = []
    losses = {run["target"]: _LOSS[run["metric"]] for run in runs}
    for target in names_in(runs):
        own = [(encoder, of) for encoder, found in by_encoder(runs, target).items() if (of := _with_looks(found))]
        rows += [(target, own[at : at + 3]) for at in range(0, len(own), 3)]
    if not rows:
        return None
    columns = max(len(own) for _, own in rows)
    figure, axes = panels(len(rows), columns)
    heads: dict[str, int] = {}
    for line, (target, own) in zip(axes, rows, strict=True):
        for panel, (encoder, found) in zip(line, own, strict=False):
            for run in found:
                color = COLORS[heads.setdefault(run["head"], len(heads)) % len(COLORS)]
                for part in _folds(run):
                    _looks(panel, run, part, color)
            titled(panel, encoder)
            panel.set_xlabel("epochs" if _per_epoch(found[0]) else "updates")
        for panel in line[len(own) :]:
            panel.set_axis_off()
        line[0].set_ylabel(f"{words(target)}: {losses[target]}")
        _zoom(line[: len(own)])
    entries: list[tuple[str, dict[str, Any]]] = [
        (head, {"color": COLORS[at % len(COLORS)], "linewidth": 3}) for head, at in heads.items()
    ]
    entries += [("dev", {}), ("train", {"linestyle": ":"}), ("kept", {"marker": "o", "linestyle": "", "markersize": 5})]
    key(figure, entries)
    return figure


def _looks(panel: matplotlib.axes.Axes, run: Run, part: dict[str, Any], color: str) -> None:
    scale = _per_epoch(run) or 1.0
    faint = 0.45 if len(_folds(run)) > 1 else 1.0
    for name, style in (("train_curve", ":"), ("curve", "-")):
        if looks := part.get(name):
            x, y = np.array(looks).T
            panel.plot(x / scale, y, style, color=color, linewidth=1.4, alpha=faint)
    step, loss = min(part["curve"], key=lambda look: look[1])
    panel.plot(step / scale, loss, "o", color=color, markersize=4)


def _zoom(line: Sequence[matplotlib.axes.Axes]) -> None:
    """Set one scale per target that cuts off the high losses at the start."""
    drawn = [np.asarray(own.get_ydata(), float) for panel in line for own in panel.get_lines()]
    low, start = min(y.min() for y in drawn), max(y[0] for y in drawn)
    settled = max(float(np.max(y[len(y) // 4 :])) for y in drawn)
    for panel in line:
        panel.set_ylim(
            max(0.0, low - 0.08 * (settled - low)), min(max(settled, low) + 0.25 * (settled - low), start * 1.1)
        )


def _with_looks(found: Sequence[Run]) -> list[Run]:
    shown = [run for run in found if all(len(part.get("curve") or ()) > 1 for part in _folds(run))]
    return sorted(shown, key=lambda run: run["head"])


def _folds(run: Run) -> list[dict[str, Any]]:
    """Return the results of each fold, or of the run if it has no folds."""
    return list(run["results"].get("folds") or [run["results"]])


def _per_epoch(run: Run) -> float | None:
    """Return the number of updates per epoch, or None if the run has not recorded it."""
    chosen = _chosen(run)[0]
    most = chosen.get("most_epochs")
    return chosen["most_updates"] / most if most else None


def penalty_curves(runs: Sequence[Run]) -> matplotlib.figure.Figure | None:
    """Draw average precision by C of linear SVMs: mean and range over folds, with the chosen C marked.

    There is a panel per encoder and a color per target. None: no SVM was trained.
    """
    found: dict[str, list[tuple[str, Run]]] = {}
    targets = []
    svm = head_named("linear_svm")  # older runs have it under its alias
    for target in names_in(run for run in runs if run["metric"] == "accuracy"):
        for encoder, svms in by_encoder(runs, target, (svm.name, *svm.aliases)).items():
            found.setdefault(encoder, []).append((target, svms[0]))
            targets.append(target)
    if not found:
        return None
    columns = min(len(found), 3)
    figure, axes = panels(math.ceil(len(found) / columns), columns, sharey=True)
    shown = [panel for line in axes for panel in line]
    targets = list(dict.fromkeys(targets))
    for panel, (encoder, own) in zip(shown, sorted(found.items()), strict=False):
        for target, run in own:
            place = targets.index(target)
            _by_penalty(panel, run, COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)])
        titled(panel, encoder)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(lambda c, _: f"{c:g}")
        panel.xaxis.set_minor_formatter(lambda *_: "")
        panel.set_xlabel("C")
    for panel in shown[len(found) :]:
        panel.set_axis_off()
    for line in axes:
        line[0].set_ylabel("average precision, folds of train")
    entries: list[tuple[str, dict[str, Any]]] = [
        (
            words(target),
            {"color": COLORS[at % len(COLORS)], "marker": MARKERS[at % len(MARKERS)], "markersize": 4},
        )
        for at, target in enumerate(targets)
    ]
    shade: dict[str, Any] = {"color": DIM, "linewidth": 7, "alpha": 0.3}
    key(figure, [*entries, ("range of the folds", shade), ("chosen", {"linestyle": "--", "linewidth": 1})])
    return figure


def _by_penalty(panel: matplotlib.axes.Axes, run: Run, color: str, marker: str) -> None:
    scores: dict[float, list[float]] = {}
    for part in _folds(run):
        for point in part["penalty_curve"]:
            scores.setdefault(point["C"], []).extend(point["folds"])
    x = sorted(scores)
    means = [float(np.mean(scores[c])) for c in x]
    panel.fill_between(
        x, [min(scores[c]) for c in x], [max(scores[c]) for c in x], color=color, alpha=0.18, linewidth=0
    )
    panel.plot(x, means, marker=marker, color=color, markersize=3.5, linewidth=1.4)
    for c in sorted({part["C"] for part in _chosen(run)}):
        panel.axvline(c, color=color, linestyle="--", linewidth=1)
    top = max(x, key=lambda c: means[x.index(c)])
    at = top, means[x.index(top)]
    panel.annotate(f"{at[1]:.3f}", at, xytext=(4, -12), textcoords="offset points", fontsize=8, color=INK)


def _chosen(run: Run) -> list[dict[str, Any]]:
    """Return the hyperparameters of each fold, or of the run if it has no folds."""
    own = run["hyperparameters"]
    return own["folds"] if isinstance(own.get("folds"), list) else [own]

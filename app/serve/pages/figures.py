"""Figures of the models page: the figures of the report, drawn once per snapshot."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import Any

from photogenic._lazy import matplotlib
from photogenic.app.report.figures import (
    calibration as honesty,
)
from photogenic.app.report.figures import (
    curves,
    drawing,
    photo_selection,
    run_selection,
)
from photogenic.app.report.figures.head_comparison import head_comparisons
from photogenic.app.report.figures.labeled_predictions import labeled_predictions
from photogenic.app.serve.snapshot import Snapshot
from photogenic.models.data.targets import names_in
from photogenic.models.evaluation.leaderboard import importances, tables

__all__ = ["Figures"]


class Figures:
    """Cache of the figures of one snapshot. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._drawn: dict[str, Any] = {}

    def of(self, snapshot: Snapshot, answering: frozenset[str]) -> dict[str, Any]:
        """Return figures as SVG and photos as rows, by template variable; None or empty if there is no data."""
        with self._lock:
            if self._key != (snapshot.key, answering):
                self._drawn, self._key = _drawn(snapshot, answering), (snapshot.key, answering)
            return self._drawn


def _drawn(snapshot: Snapshot, answering: frozenset[str]) -> dict[str, Any]:
    runs = run_selection.ordered(snapshot.runs, answering)
    test_rows: dict[str, list[dict[str, Any]]] = {}

    def test_of(run: Mapping[str, Any]) -> list[dict[str, Any]]:
        run_id = str(run["run_id"])
        if run_id not in test_rows:
            test_rows[run_id] = labeled_predictions(snapshot.cursor(), run)
        return test_rows[run_id]

    best = run_selection.best_run(runs, "like_ratio", "popular")
    ranked = test_of(best) if best else []
    chosen = [run for target in names_in(runs) if (run := run_selection.best_run(runs, target))]
    beside = [(run, honesty.with_labels(run["target"], test_of(run))) for run in chosen]
    calibration = honesty.calibration(beside)
    groups = [(run, made) for run, of in beside if (made := honesty.slices(run, of, None))]
    errors = [
        (f"{encoder}, {own[0]['head']}", photo_selection.mistakes(test_of(own[0])))
        for encoder, own in run_selection.by_encoder(runs, "gender").items()
    ]
    return {
        "best": best,
        "tables": [run_selection.table(each) for each in tables(runs)],
        "inputs": [run_selection.inputs_table(each) for each in importances(runs)],
        "comparisons": head_comparisons(runs, test_of),
        "learning": _svg(curves.learning_curves(runs), "loss by epoch on train and dev"),
        "penalty": _svg(curves.penalty_curves(runs), "average precision by C of linear SVMs"),
        "calibration": _svg(calibration[0], "predicted beside observed, in bins") if calibration else None,
        "remarks": calibration[1] if calibration else [],
        "slices": [
            {
                "title": f"{run_selection.title(run['target'])}: {run['reads']}, {run['head']}",
                "svg": _svg(figure, f"error, bias and rank correlation by group, {run['target']}"),
                "warnings": warnings,
            }
            for run, (figure, warnings) in groups
        ],
        "rows": photo_selection.quantiles(ranked),
        "ends": photo_selection.extremes(ranked),
        "mistakes": [
            (title, found, list(map(photo_selection.caption, found.photos))) for title, found in errors if found.photos
        ],
    }


def _svg(figure: matplotlib.figure.Figure | None, says: str) -> str | None:
    return None if figure is None else drawing.svg(figure, says)

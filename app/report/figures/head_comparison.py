"""Comparison of the best head on dev of each target with every other head, on the same test photos.

It is the comparison that `features train` prints (models/evaluation/comparison.py), made from the stored runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from photogenic.app.report.figures.calibration import with_labels
from photogenic.app.report.figures.run_selection import SETUPS, Run, best_run, title
from photogenic.models.data.targets import names_in, recorded
from photogenic.models.evaluation.comparison import Comparison, Entry, compare_heads

__all__ = ["head_comparisons"]

MOST = 12
"""Largest number of other heads to show, best on dev first."""


def head_comparisons(
    runs: Sequence[Run], test_of: Callable[[Run], Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return a title and a row per other head for each target with at least two heads.

    Only heads with the setup and split of the best head are compared.

    Args:
        runs: Runs in the order of `run_selection.ordered`.
        test_of: Function from a run to its rows of `predictions_with_labels.sql`.
    """
    found = []
    for target in names_in(runs):
        best = best_run(runs, target)
        alike = [
            run for run in runs if best and all(run[k] == best[k] for k in ("target", "setup", "division", "weight"))
        ]
        entries = [
            Entry(run["run_id"], run["reads"], run["head"], _dev(run), own)
            for run in alike[: MOST + 1]
            if len((own := with_labels(target, test_of(run))).photo_ids)
        ]
        if best is None or len(entries) < 2:
            continue
        made = compare_heads(recorded(target, best["metric"]), best["setup"], entries)
        rows = [_row(rival) for rival in made.comparisons if rival.run_id]
        if not rows:
            continue
        heading = f"{title(target)}, {SETUPS[best['setup']]}: dev prefers {made.winner.encoder} {made.winner.head}"
        found.append({"title": heading, "rows": rows, "left_out": len(alike) - 1 - len(rows)})
    return found


def _dev(run: Run) -> float:
    """Return the figure on dev; of a run of predictions without dev the worst there is, so that it never wins by it."""
    worst = -math.inf if recorded(run["target"], run["metric"]).higher_is_better else math.inf
    return worst if run["dev"] is None else float(run["dev"])


def _row(rival: Comparison) -> dict[str, Any]:
    ratio, low, high = rival.ratio
    return {
        "encoder": rival.encoder,
        "head": rival.head,
        "n_photos": f"{rival.n_photos:,}",
        "own": f"{rival.own:.4f}",
        "other": f"{rival.other:.4f}",
        "ratio": "" if ratio is None else f"{ratio:.2f}",
        "interval": "" if low is None or high is None else f"{low:.2f} to {high:.2f}",
        "verdict": rival.verdict,
    }

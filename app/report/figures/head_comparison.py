"""Comparison of the best head on dev of each target with every other head, on the same test photos.

It is the comparison that `features train` prints (models/evaluation/comparison.py), made from the stored runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from photogenic.app.report.figures.calibration import with_labels
from photogenic.app.report.figures.run_selection import SETUPS, WORDS, Run, best_run
from photogenic.models.data.targets import target as target_named
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
    for target, words in WORDS.items():
        best = best_run(runs, target)
        alike = [run for run in runs if best and all(run[k] == best[k] for k in ("target", "setup", "division"))]
        entries = [
            Entry(run["run_id"], run["encoder"], run["head"], run["dev"], own)
            for run in alike[: MOST + 1]
            if run["dev"] is not None and len((own := with_labels(target, test_of(run))).photo_ids)
        ]
        if best is None or len(entries) < 2:
            continue
        made = compare_heads(target_named(target), best["setup"], entries)
        rows = [_row(rival) for rival in made.comparisons if rival.run_id]
        if not rows:
            continue
        title = f"{words.capitalize()}, {SETUPS[best['setup']]}: dev prefers {made.winner.encoder} {made.winner.head}"
        found.append({"title": title, "rows": rows, "left_out": len(alike) - 1 - len(rows)})
    return found


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

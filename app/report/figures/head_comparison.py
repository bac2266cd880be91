"""Which head wins, and by how much: of each target the one that dev prefers, against every other, on the same photos.

The same comparison as after `features train` (models/evaluation/comparison.py), from what the store holds of each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from photogenic.app.report.figures.calibration import judged
from photogenic.app.report.figures.run_selection import SETUPS, WORDS, Run, champion
from photogenic.models.data.targets import target as target_named
from photogenic.models.evaluation.comparison import Comparison, Entry, compare_heads

__all__ = ["duels"]

MOST = 12
"""Rivals that are shown, best on dev first."""


def duels(runs: Sequence[Run], test_of: Callable[[Run], Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Of each target with two heads or more: title, and a row per rival of the best one's setup and division.

    Args:
        runs: as `standing.ordered` gives them.
        test_of: a run -> its rows of `judged.sql`.
    """
    found = []
    for target, words in WORDS.items():
        best = champion(runs, target)
        alike = [run for run in runs if best and all(run[k] == best[k] for k in ("target", "setup", "division"))]
        said = [
            Entry(run["run_id"], run["encoder"], run["head"], run["dev"], own)
            for run in alike[: MOST + 1]
            if run["dev"] is not None and len((own := judged(target, test_of(run))).photo_ids)
        ]
        if best is None or len(said) < 2:
            continue
        made = compare_heads(target_named(target), best["setup"], said)
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

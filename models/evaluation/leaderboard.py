"""Leaderboard: the rows of `runs` side by side, and the layout of the published tables 2 and 3.

This module returns data; callers print it. The rows of a table are pairs of encoder and head, below the best constant;
its columns are ALL and 1BBOX, with our figures beside the published ones. A table covers one split into train and test:
the published one if a run has it, otherwise that of the newest run. For a ratio, a cell also holds the share of the
variance that the head explains, the share of the variance without label noise, and the rank correlation.

Source: Bogatyy & Tom, tables 2 (mean squared error of the like ratio) and 3 (accuracy of gender).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import pl
from photogenic.models.data.split_config import DEFAULT_SPLIT
from photogenic.models.data.targets import TARGETS
from photogenic.models.evaluation.comparison import HeadComparison
from photogenic.models.evaluation.slices import Slice
from photogenic.models.evaluation.wilson import wilson
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.duckdb_store.query import sql

__all__ = ["PUBLISHED_FIGURES", "Cell", "Figure", "Leaderboard", "Row", "Table", "in_order", "leaderboard", "unpacked"]

PUBLISHED_FIGURES: dict[str, dict[tuple[str, str], tuple[float | None, float | None]]] = {
    "like_ratio": {
        ("constant", ""): (0.187, 0.163),
        ("inception_v3", "0fc"): (0.0252, 0.0193),
        ("inception_v3", "1fc"): (0.0227, 0.0195),
        ("inception_v3", "2fc"): (0.0228, 0.0192),
        ("facenet", "0fc"): (None, 0.0183),
        ("facenet", "1fc"): (None, 0.0121),
        ("facenet", "2fc"): (None, 0.0129),
    },
    "gender": {
        ("constant", ""): (0.633, 0.586),
        ("inception_v3", "0fc"): (0.860, 0.904),
        ("inception_v3", "1fc"): (0.869, 0.911),
        ("inception_v3", "2fc"): (0.865, 0.911),
        ("facenet", "0fc"): (None, 0.904),
        ("facenet", "1fc"): (None, 0.959),
        ("facenet", "2fc"): (None, 0.954),
    },
}
"""target -> (encoder, head) -> figures of (ALL, 1BBOX)."""

SETUPS = ("all", "one_face")

_TITLES = {
    "like_ratio": "Table 2. Like ratio: mean squared error on test, weighted by swipes",
    "gender": "Table 3. Gender: accuracy on test",
    "popular": "Popular or not: accuracy on test",
}

_FIGURES = ("gain", "r2", "spearman", "noise_floor", "log_loss", "auc", "average_precision")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval over users."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """Test figure with its 95 % interval over users: by bootstrap for an error, Wilson's for an accuracy.

    Attributes:
        run_id: id of the run. None: the best constant.
        r2: share of the variance of the labels that is explained; None for a binary target, as for the next two.
        explained: share of the variance of the labels without their noise that is explained.
        spearman: rank correlation.
        n: number of test photos.
    """

    value: float
    low: float | None
    high: float | None
    run_id: str | None = None
    r2: Figure | None = None
    explained: Figure | None = None
    spearman: Figure | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table with its columns (ALL, 1BBOX): our figures and the published ones."""

    encoder: str
    head: str
    cells: tuple[Cell | None, Cell | None]
    published: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Table:
    """A table in the layout of table 2 or 3, best constant first. `floor` is the label noise of each column."""

    title: str
    target: str
    metric: str
    rows: list[Row]
    floor: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Runs side by side.

    Attributes:
        frame: one row per run, best on dev first within each target and setup.
        tables: one table per target.
        n_trained: number of runs that the call trained; the others existed before.
        comparisons: comparisons of the runs of one call to `train`, per target and setup.
        slices: figures of these runs on groups of people.
    """

    frame: pl.DataFrame
    tables: list[Table]
    n_trained: int = 0
    comparisons: Sequence[HeadComparison] = ()
    slices: Sequence[tuple[Run, Slice]] = ()


def leaderboard(database: Database, run_ids: Sequence[str] | None = None, *, n_trained: int = 0) -> Leaderboard:
    """Return the leaderboard of these runs. None: all runs.

    Raises:
        InputError: there are no runs.
    """
    found = [run for run in _read(database) if run_ids is None or run["run_id"] in set(run_ids)]
    if not found:
        raise InputError("No head was trained yet.", "at least one row in `runs`", "features train")
    targets = [name for name in TARGETS if any(run["target"] == name for run in found)]
    return Leaderboard(_frame(found), [_table(name, found) for name in targets], n_trained)


def _read(database: Database) -> list[dict[str, Any]]:
    """Return the rows of `runs` with unpacked results, oldest first."""
    return [unpacked(row) for row in sql(database, "from runs order by created_at, run_id").to_dicts()]


def unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    """Parse results and hyperparameters of a row of `runs`, and add `division` and `interval`."""
    results, chosen = json.loads(row["results"]), json.loads(row["hyperparameters"])
    return {
        **row,
        "results": results,
        "hyperparameters": chosen,
        "division": chosen.get("division", DEFAULT_SPLIT.name),
        "interval": _interval(row, results, "metric", "test"),
    }


def _interval(row: Mapping[str, Any], results: Mapping[str, Any], name: str, column: str) -> list[float | None]:
    """Return the interval of test or baseline. Old runs hold too narrow bootstrap intervals of accuracies."""
    if row.get("metric") == "accuracy" and row[column] is not None:
        return wilson(row[column], results.get("voices") or row["n_test"])
    found: list[float | None] = results.get("intervals", {}).get(name, [None, None])
    return found


def in_order(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort unpacked runs by target, setup and division, best on dev first; figures on test do not matter."""
    return sorted(found, key=_rank)


def _frame(found: Sequence[dict[str, Any]]) -> pl.DataFrame:

    plain = ("target", "setup", "encoder", "head", "division", "metric", "dev", "test")
    sizes = ("n_train", "n_test", "run_id", "created_at")
    rows = [
        {name: run[name] for name in plain}
        | {"low": run["interval"][0], "high": run["interval"][1], "baseline": run["baseline"]}
        | {name: run["results"].get(name) for name in _FIGURES}
        | {name: run[name] for name in sizes}
        for run in in_order(found)
    ]
    kinds = dict.fromkeys(("dev", "test", "low", "high", "baseline", *_FIGURES), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=kinds)


def _rank(run: dict[str, Any]) -> tuple[int, str, bool, str, float, str]:
    """Sort key: targets in their order, then the best figure on dev first.

    Runs of different divisions are not mixed, since their dev figures cannot be compared; the published one is first.
    """
    target = TARGETS[run["target"]]
    dev = float("inf") if run["dev"] is None else run["dev"]
    place = list(TARGETS).index(target.name)
    other = run["division"] != DEFAULT_SPLIT.name
    return place, run["setup"], other, run["division"], -dev if target.higher_is_better else dev, run["run_id"]


def _table(target: str, found: Sequence[dict[str, Any]]) -> Table:
    own = [run for run in found if run["target"] == target]
    divisions = {run["division"] for run in own}
    division = DEFAULT_SPLIT.name if DEFAULT_SPLIT.name in divisions else own[-1]["division"]
    newest = {(r["encoder"], r["head"], r["setup"]): r for r in own if r["division"] == division}
    published = PUBLISHED_FIGURES.get(target, {})
    lines = dict.fromkeys((encoder, head) for encoder, head, _ in newest)
    constants = [_constant([r for key, r in newest.items() if key[2] == setup]) for setup in SETUPS]
    rows = [Row("best constant", "", (constants[0], constants[1]), published.get(("constant", ""), (None, None)))]
    for encoder, head in lines:
        cells = [_cell(newest.get((encoder, head, setup))) for setup in SETUPS]
        rows.append(Row(encoder, head, (cells[0], cells[1]), published.get((encoder, head), (None, None))))
    floors = [_floor([r for key, r in newest.items() if key[2] == setup]) for setup in SETUPS]
    return Table(_TITLES[target], target, TARGETS[target].metric, rows, (floors[0], floors[1]))


def _cell(run: dict[str, Any] | None) -> Cell | None:
    if run is None:
        return None
    r2 = _figure(run, "r2")
    return Cell(
        run["test"],
        run["interval"][0],
        run["interval"][1],
        run["run_id"],
        r2,
        _explained(run, r2),
        _figure(run, "spearman"),
        run["n_test"],
    )


def _figure(run: dict[str, Any], name: str) -> Figure | None:
    value = run["results"].get(name)
    if value is None:
        return None
    low, high = run["results"]["intervals"].get(name, [None, None])
    return Figure(value, low, high)


def _explained(run: dict[str, Any], r2: Figure | None) -> Figure | None:
    """Divide R2 by the largest R2 that the noise of the labels allows; the noise is treated as exact."""
    floor = run["results"].get("noise_floor")
    if r2 is None or floor is None or r2.value >= 1:
        return None
    reachable = 1 - floor * (1 - r2.value) / run["test"]
    if reachable <= 0:
        return None
    bounds = [None if bound is None else bound / reachable for bound in (r2.low, r2.high)]
    return Figure(r2.value / reachable, bounds[0], bounds[1])


def _constant(runs: Sequence[dict[str, Any]]) -> Cell | None:
    """Return the constant of the run with the most test photos, since encoders may lack vectors of some photos."""
    if not runs:
        return None
    widest = max(runs, key=lambda run: run["n_test"])
    low, high = _interval(widest, widest["results"], "baseline", "baseline")
    return Cell(widest["baseline"], low, high, n=widest["n_test"])


def _floor(runs: Sequence[dict[str, Any]]) -> float | None:
    return max(runs, key=lambda run: run["n_test"])["results"].get("noise_floor") if runs else None

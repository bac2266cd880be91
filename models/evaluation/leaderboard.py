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
from photogenic.models.data.targets import TARGETS, names_in, recorded
from photogenic.models.evaluation.comparison import HeadComparison
from photogenic.models.evaluation.importance import Importance
from photogenic.models.evaluation.slices import Slice
from photogenic.models.evaluation.wilson import wilson
from photogenic.models.runs.run_store import Run, inputs_in, reads
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.duckdb_store.query import sql

__all__ = [
    "COMPARABLE",
    "PUBLISHED_FIGURES",
    "Cell",
    "Figure",
    "InputImportances",
    "Leaderboard",
    "Row",
    "Table",
    "importances",
    "in_order",
    "leaderboard",
    "tables",
    "unpacked",
]

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

COMPARABLE = 0.9
"""Smallest share of the test photos that a run must predict for its figures to stand beside those of others."""

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
        is_partial: whether the run predicts so few of the test photos that its figure is one of other photos.
        is_promoted: whether the run is the one that was chosen to predict its target.
    """

    value: float
    low: float | None
    high: float | None
    run_id: str | None = None
    r2: Figure | None = None
    explained: Figure | None = None
    spearman: Figure | None = None
    n: int | None = None
    is_partial: bool = False
    is_promoted: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table with its columns (ALL, 1BBOX): our figures and the published ones."""

    encoder: str
    head: str
    cells: tuple[Cell | None, Cell | None]
    published: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Table:
    """A table in the layout of table 2 or 3, best constant first.

    Attributes:
        floor: label noise of each column.
        remarks: what is to be known about single runs: of which the test is not the whole one, or not audited.
    """

    title: str
    target: str
    metric: str
    rows: list[Row]
    floor: tuple[float | None, float | None]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputImportances:
    """What each input of one head adds: how much the error on test grows if its values are shuffled.

    Attributes:
        reads: encoder and inputs of the head, in words.
        error: error that grows, in words.
        baseline: error on test of the head itself.
        inputs: the vector, then each input.
    """

    target: str
    setup: str
    run_id: str
    reads: str
    head: str
    error: str
    baseline: float
    inputs: list[Importance]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Runs side by side.

    Attributes:
        frame: one row per run, best on dev first within each target and setup.
        tables: one table per target.
        n_trained: number of runs that the call trained; the others existed before.
        comparisons: comparisons of the runs of one call to `train`, per target and setup.
        slices: figures of these runs on groups of people.
        importances: what each input adds to the best head on dev of each target and setup that has inputs.
    """

    frame: pl.DataFrame
    tables: list[Table]
    n_trained: int = 0
    comparisons: Sequence[HeadComparison] = ()
    slices: Sequence[tuple[Run, Slice]] = ()
    importances: Sequence[InputImportances] = ()


def leaderboard(database: Database, run_ids: Sequence[str] | None = None, *, n_trained: int = 0) -> Leaderboard:
    """Return the leaderboard of these runs. None: all runs.

    Raises:
        InputError: there are no runs.
    """
    found = [run for run in _read(database) if run_ids is None or run["run_id"] in set(run_ids)]
    if not found:
        raise InputError("No head was trained yet.", "at least one row in `runs`", "features train")
    return Leaderboard(_frame(found), tables(found), n_trained, importances=importances(found))


def tables(found: Iterable[dict[str, Any]]) -> list[Table]:
    """Return one table per target of unpacked runs."""
    oldest_first = sorted(found, key=lambda run: (run["created_at"], run["run_id"]))
    return [_table(name, oldest_first) for name in names_in(oldest_first)]


def _read(database: Database) -> list[dict[str, Any]]:
    """Return the rows of `runs` with unpacked results, oldest first."""
    return [unpacked(row) for row in sql(database, "from runs order by created_at, run_id").to_dicts()]


def unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    """Parse results and hyperparameters of a row of `runs`, and add what tables need: `division` to `audit`.

    `coverage` is the share of the test photos that a run of predictions predicts; None: all that have its vectors.
    `audit` is `split` if it was trained here on train only, else whether it is `said` what it was learned from.
    """
    results, chosen = json.loads(row["results"]), json.loads(row["hyperparameters"])
    return {
        **row,
        "results": results,
        "hyperparameters": chosen,
        "division": chosen.get("division", DEFAULT_SPLIT.name),
        "weight": chosen.get("weight"),
        "inputs": inputs_in(chosen),
        "reads": reads(row["encoder"], inputs_in(chosen)),
        "interval": _interval(row, results, "metric", "test"),
        "coverage": results.get("coverage", {}).get("share"),
        "audit": results.get("audit", {}).get("learned_from", "split"),
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
    sizes = ("n_train", "n_test", "coverage", "audit", "promoted", "run_id", "created_at")
    with_inputs = any(run["inputs"] for run in found)
    rows = [
        {name: run[name] for name in plain}
        | {"low": run["interval"][0], "high": run["interval"][1], "baseline": run["baseline"]}
        | {name: run["results"].get(name) for name in _FIGURES}
        | {name: run[name] for name in sizes}
        | ({"inputs": ", ".join(run["inputs"])} if with_inputs else {})
        for run in in_order(found)
    ]
    kinds = dict.fromkeys(("dev", "test", "low", "high", "baseline", "coverage", *_FIGURES), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=kinds)


def _is_partial(run: Mapping[str, Any]) -> bool:
    return run["coverage"] is not None and run["coverage"] < COMPARABLE


def _rank(run: dict[str, Any]) -> tuple[int, str, str, bool, str, bool, float, str]:
    """Sort key: targets in their order, then the best figure on dev first.

    Runs of different divisions are not mixed, since their dev figures cannot be compared; the published one is first.
    A run that predicts few of the test photos, or whose learning is not audited, follows the others.
    """
    target = recorded(run["target"], run["metric"])
    dev = float("inf") if run["dev"] is None else -run["dev"] if target.higher_is_better else run["dev"]
    place = list(TARGETS).index(target.name) if target.name in TARGETS else len(TARGETS)
    other = run["division"] != DEFAULT_SPLIT.name
    last = _is_partial(run) or run["audit"] == "not_said"
    return place, target.name, run["setup"], other, run["division"], last, dev, run["run_id"]


def _table(target: str, found: Sequence[dict[str, Any]]) -> Table:
    own = [run for run in found if run["target"] == target]
    divisions = {run["division"] for run in own}
    division = DEFAULT_SPLIT.name if DEFAULT_SPLIT.name in divisions else own[-1]["division"]
    alike = [run for run in own if run["division"] == division]
    weight = alike[-1]["weight"]
    newest = {(r["encoder"], r["inputs"], r["head"], r["setup"]): r for r in alike if r["weight"] == weight}
    published = PUBLISHED_FIGURES.get(target, {})
    lines = dict.fromkeys(key[:3] for key in newest)
    constants = [_constant([r for key, r in newest.items() if key[3] == setup]) for setup in SETUPS]
    rows = [Row("best constant", "", (constants[0], constants[1]), published.get(("constant", ""), (None, None)))]
    for encoder, inputs, head in lines:
        cells = [_cell(newest.get((encoder, inputs, head, setup))) for setup in SETUPS]
        printed = (None, None) if inputs else published.get((encoder, head), (None, None))
        rows.append(Row(reads(encoder, inputs), head, (cells[0], cells[1]), printed))
    floors = [_floor([r for key, r in newest.items() if key[3] == setup]) for setup in SETUPS]
    metric = alike[-1]["metric"]
    title = _TITLES.get(
        target
    ) or f"{target}: {'accuracy' if metric == 'accuracy' else 'mean squared error'} on test" + (
        f", weighted by {weight}" if weight else ""
    )
    remarks = tuple(remark for run in newest.values() for remark in _remarks(run))
    return Table(title, target, metric, rows, (floors[0], floors[1]), remarks)


def _remarks(run: Mapping[str, Any]) -> list[str]:
    """Return what is to be known about a run of predictions beside its figure."""
    who, found = f"{run['encoder']} {run['head']} ({run['setup']})", []
    if _is_partial(run):
        found.append(
            f"{who} predicts {run['coverage']:.0%} of the test photos: its figure is not comparable with the others."
        )
    if run["audit"] == "not_said":
        found.append(f"{who} does not say what it was learned from: nothing checks whether it knew test photos.")
    elif n := run["results"].get("audit", {}).get("n_test_left_out"):
        found.append(f"{who} was learned from {n:,} test photos, or photos of the same people; they do not count.")
    return found


def importances(found: Iterable[dict[str, Any]]) -> list[InputImportances]:
    """Return what each input adds to the best head on dev of each target and setup that has inputs."""
    best: dict[tuple[str, str], InputImportances] = {}
    for run in in_order(found):
        if run["results"].get("importance"):
            best.setdefault(
                (run["target"], run["setup"]),
                InputImportances(
                    run["target"],
                    run["setup"],
                    run["run_id"],
                    run["reads"],
                    run["head"],
                    recorded(run["target"], run["metric"]).error_words,
                    1 - run["test"] if run["metric"] == "accuracy" else run["test"],
                    [Importance(**each) for each in run["results"]["importance"]],
                ),
            )
    return list(best.values())


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
        _is_partial(run),
        bool(run["promoted"]),
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

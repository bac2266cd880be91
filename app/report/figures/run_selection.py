"""Selection of the runs that figures show, and tables 2 and 3 for templates.

The run of a target that scores pictures is chosen by `models.runs.run_selection`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from photogenic.models.data.targets import names_in
from photogenic.models.evaluation.leaderboard import Cell, InputImportances, Table, in_order, unpacked
from photogenic.models.runs.run_selection import Ask, shown
from photogenic.warehouse import Layout

__all__ = [
    "SETUPS",
    "WORDS",
    "Run",
    "answering",
    "best_run",
    "by_encoder",
    "inputs_table",
    "ordered",
    "table",
    "title",
    "words",
]

SETUPS = {"all": "ALL", "one_face": "1BBOX"}
"""Setup -> its name in the papers, used as a column heading."""

WORDS = {"like_ratio": "like ratio", "popular": "popular or not", "gender": "gender"}

Run = dict[str, Any]


def words(target: str) -> str:
    """Return a target in words; a column is called by its name."""
    return WORDS.get(target, target)


def title(target: str) -> str:
    """Return a target in words, as the beginning of a line."""
    return WORDS[target].capitalize() if target in WORDS else target


def answering(layout: Layout, ask: Ask) -> set[str]:
    """Return the run_ids that score pictures, one per target."""
    targets = names_in(ask("select distinct target from runs", {}).to_dicts())
    return {found.run_id for target in targets if (found := shown(layout, ask, target))}


def ordered(rows: Iterable[Mapping[str, Any]], answering: Collection[str] = ()) -> list[Run]:
    """Unpack and sort rows of `runs`: runs that score pictures first, then setup one_face, then the best on dev."""
    runs = in_order([unpacked(row) for row in rows])
    return sorted(runs, key=lambda run: (run["run_id"] not in answering, run["setup"] != "one_face"))


def best_run(runs: Sequence[Run], *targets: str) -> Run | None:
    """Return the first run of the first of these targets that has runs."""
    for target in targets:
        for run in runs:
            if run["target"] == target:
                return run
    return None


def by_encoder(runs: Sequence[Run], target: str, heads: Sequence[str] | None = None) -> dict[str, list[Run]]:
    """Return the runs of a target by what they read, best first, one per head, with the best run's setup and split."""
    found: dict[str, list[Run]] = {}
    best = next((run for run in runs if run["target"] == target and (heads is None or run["head"] in heads)), None)
    for run in runs if best else []:
        alike = all(run[name] == best[name] for name in ("target", "setup", "division", "weight"))  # type: ignore[index]
        if alike and (heads is None or run["head"] in heads):
            own = found.setdefault(run["reads"], [])
            if all(run["head"] != other["head"] for other in own):
                own.append(run)
    return dict(sorted(found.items()))


def table(ranked: Table) -> dict[str, Any]:
    """Convert table 2 or 3 for a template: result, interval and published figure of each trained setup."""
    better = max if ranked.metric == "accuracy" else min
    used = [at for at in range(len(SETUPS)) if any(row.cells[at] is not None for row in ranked.rows)]
    best: dict[int, tuple[str, int]] = {}
    for at in used:
        cells = [cell for row in ranked.rows if (cell := row.cells[at]) is not None]
        values = [cell.value for cell in cells if not cell.is_partial] or [cell.value for cell in cells]
        first = _value(better(values))
        best[at] = first, sum(_value(value) == first for value in values)
    names = list(SETUPS.values())
    rows = [
        {
            "encoder": row.encoder,
            "head": row.head,
            "cells": [_cell(row.cells[at], best[at]) | {"published": _short(row.published[at])} for at in used],
        }
        for row in ranked.rows
    ]
    floors = [f"{names[at]} {floor:.4f}" for at in used if (floor := ranked.floor[at]) is not None]
    noise = f"Noise of the labels, the lowest error that a head can reach: {', '.join(floors)}." if floors else ""
    return {
        "title": ranked.title,
        "columns": [names[at] for at in used],
        "rows": rows,
        "floor": noise,
        "remarks": list(ranked.remarks),
        "is_printed": any(row.published[at] is not None for row in ranked.rows for at in used),
        "promoted": any(cell.is_promoted for row in ranked.rows for cell in row.cells if cell),
        "ranks": any(cell.r2 for row in ranked.rows for cell in row.cells if cell),
        "explained": any(cell.explained for row in ranked.rows for cell in row.cells if cell),
    }


def _cell(cell: Cell | None, best: tuple[str, int]) -> dict[str, Any]:
    """Convert a cell. `best` is the best value of the column as text, and the number of cells with this value."""
    if cell is None:
        empty = dict.fromkeys(("value", "interval", "n", "r2", "explained", "spearman"), "")
        return empty | {"best": False, "tied": False, "promoted": False}
    return {
        "value": _value(cell.value),
        "n": "" if cell.n is None else f"{cell.n:,}",
        "interval": "" if cell.low is None or cell.high is None else f"{_value(cell.low)} to {_value(cell.high)}",
        "best": best == (_value(cell.value), 1) and not cell.is_partial,
        "tied": best[0] == _value(cell.value) and best[1] > 1 and not cell.is_partial,
        "promoted": cell.is_promoted,
        "r2": "" if cell.r2 is None else f"{cell.r2.value:.2f}",
        "explained": "" if cell.explained is None else f"{cell.explained.value:.0%}".replace("%", " %"),
        "spearman": "" if cell.spearman is None else f"{cell.spearman.value:.2f}",
    }


def _value(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1_000 else f"{value:,.1f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def inputs_table(found: InputImportances) -> dict[str, Any]:
    """Convert the importance of the inputs of one head for a template."""
    return {
        "title": f"{title(found.target)}, {SETUPS.get(found.setup, found.setup)}: {found.reads}, {found.head}",
        "error": found.error,
        "baseline": _value(found.baseline),
        "rows": [
            {
                "input": f"the whole vector ({one.input})" if one.kind == "vector" else one.input,
                "growth": _value(one.growth),
                "interval": "" if one.low is None or one.high is None else f"{_value(one.low)} to {_value(one.high)}",
                "helps": one.low is not None and one.low > 0,
            }
            for one in found.inputs
        ],
    }

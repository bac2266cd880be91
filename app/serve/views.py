"""What the pages about everything show: breakdown, models, store. Queries of ours, laid out for charts and tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app.serve.snapshot import Snapshot

if TYPE_CHECKING:
    import polars as pl

    from models.ranking import Table

__all__ = ["SHOWN", "best_of", "breakdown", "curve", "judged", "relations", "table", "weeks"]

_GENDERS = ("female", "male", "other", "unknown")
_SETUPS = ("ALL", "1BBOX")
_STEPS = 7
"""Shades of the heat map."""

SHOWN = 7
"""Photos side by side in a figure."""

_FIFTHS = 5


def weeks(snapshot: Snapshot, photo_id: str) -> dict[str, Any] | None:
    """Swipes that a photo received, as a chart; None where there were none."""
    if "photo_periods" not in snapshot.relations:
        return None
    found = snapshot.asked("weeks", {"id": photo_id})
    if not len(found):
        return None
    series = [
        {"name": name, "values": found[column].to_list()}
        for name, column in (("liked", "n_likes"), ("passed", "n_passes"))
    ]
    return {"labels": [str(week) for week in found["week"]], "series": series}


def breakdown(snapshot: Snapshot, window: str) -> dict[str, Any]:
    """Table 1 as a heat map, and what else the page shows."""
    cells = snapshot.ask("from gender_breakdown where time_window = $window", {"window": window}).to_dicts()
    by_pair = {(cell["sender_gender"] or "unknown", cell["recipient_gender"] or "unknown"): cell for cell in cells}
    ratios = [cell["like_ratio"] for cell in cells if cell["like_ratio"] is not None]
    low, high = (min(ratios), max(ratios)) if ratios else (0.0, 1.0)
    for cell in cells:
        part = ((cell["like_ratio"] or 0) - low) / ((high - low) or 1)
        cell["step"] = min(int(part * _STEPS), _STEPS - 1)
    senders = [name for name in _GENDERS if any(pair[0] == name for pair in by_pair)]
    recipients = [name for name in _GENDERS if any(pair[1] == name for pair in by_pair)]
    funnel: dict[str, list[dict[str, Any]]] = {}
    for step in snapshot.ask("from funnel order by source desc, step_no").to_dicts():
        steps = funnel.setdefault(step["source"], [])
        step["share"] = step["n_photos"] / ((steps[0] if steps else step)["n_photos"] or 1)
        steps.append(step)
    kept = [(source, steps) for source, steps in funnel.items() if steps[0]["n_photos"]]
    return {
        "heat": [(name, [by_pair.get((name, other)) for other in recipients]) for name in senders],
        "recipients": recipients,
        "funnel": kept,
        "histogram": _histogram(snapshot.asked("histogram", {"window": window})),
        "months": _months(snapshot.asked("months")),
    }


def _histogram(found: pl.DataFrame) -> dict[str, Any]:
    counts = {(row["gender"], row["bin"]): row["n_photos"] for row in found.to_dicts()}
    names = _most(found, "n_photos")
    series = [{"name": name, "values": [counts.get((name, at), 0) for at in range(20)]} for name in names]
    return {"labels": [f"{5 * at} %" for at in range(20)], "series": series}


def _months(found: pl.DataFrame) -> dict[str, Any]:
    months = found["month"].unique().sort().to_list()
    ratios = {(row["gender"], row["month"]): row["like_ratio"] for row in found.to_dicts() if row["n_swipes"] >= 20}
    names = _most(found, "n_swipes")
    return {
        "labels": months,
        "series": [{"name": n, "values": [ratios.get((n, month)) for month in months]} for n in names],
    }


def _most(found: pl.DataFrame, column: str) -> list[str]:
    """Genders that a chart is not too full of: those with a hundredth of all or more."""
    totals: dict[str, int] = {}
    for name, n in found.select("gender", column).iter_rows():
        totals[name] = totals.get(name, 0) + n
    return [name for name in _GENDERS if totals.get(name, 0) >= 0.01 * sum(totals.values())]


def table(ranked: Table) -> dict[str, Any]:
    """Table 2 or 3: ours, the interval, and what the paper printed."""
    better = max if ranked.metric == "accuracy" else min
    n_columns = range(len(_SETUPS))
    used = [at for at in n_columns if any(row.cells[at] is not None for row in ranked.rows)]
    best = {at: better(cell.value for row in ranked.rows if (cell := row.cells[at]) is not None) for at in used}
    rows = []
    for row in ranked.rows:
        cells = []
        for at in used:
            cell, printed = row.cells[at], row.published[at]
            low = None if cell is None else cell.low
            between = "" if cell is None or low is None else f"{low:.4f} to {cell.high:.4f}"
            cells.append(
                {
                    "value": "" if cell is None else f"{cell.value:.4f}",
                    "interval": between,
                    "published": "" if printed is None else f"{printed:g}",
                    "best": cell is not None and cell.value == best[at],
                }
            )
        rows.append({"encoder": row.encoder, "head": row.head, "cells": cells})
    floors = [f"{_SETUPS[at]} {floor:.4f}" for at in used if (floor := ranked.floor[at]) is not None]
    noise = f"Of the error, the labels' own noise: {', '.join(floors)}." if floors else ""
    return {"title": ranked.title, "columns": [_SETUPS[at] for at in used], "rows": rows, "floor": noise}


def best_of(runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The like-ratio head that dev chose, of photos of one face where there are any."""
    found = [run for run in runs if run["target"] == "like_ratio" and run["dev"] is not None]
    return min(found, key=lambda run: (run["setup"] != "one_face", run["dev"], run["run_id"])) if found else None


def curve(run: dict[str, Any]) -> dict[str, Any] | None:
    """Loss on dev while a head was trained; None for heads that are not trained step by step."""
    looks = json.loads(run["results"]).get("curve") or []
    if len(looks) < 2:
        return None
    return {"labels": [n for n, _ in looks], "series": [{"name": "dev", "values": [loss for _, loss in looks]}]}


def judged(snapshot: Snapshot, run: dict[str, Any]) -> dict[str, Any]:
    """How a head does on test: each photo, slices of them, and photos of every fifth."""
    import polars as pl

    found = snapshot.asked("judged", {"run": run["run_id"]})
    rows = found.to_dicts()
    fifths = [rows[i * len(rows) // _FIFTHS : (i + 1) * len(rows) // _FIFTHS] for i in range(_FIFTHS)]
    with_picture = [[row for row in fifth if row["sha256"] is not None][:SHOWN] for fifth in fifths]
    slices = [_slice("all", found)] if rows else []
    for name in _GENDERS:
        of = found.filter(pl.col("gender").is_null() if name == "unknown" else pl.col("gender") == name)
        slices += [_slice(name, of)] if len(of) else []
    half = found["weight"].median()
    if isinstance(half, (int, float)):
        slices += [_slice(f"under {half:.0f} swipes", found.filter(pl.col("weight") < half))]
        slices += [_slice(f"{half:.0f} swipes or more", found.filter(pl.col("weight") >= half))]
    scatter = {
        "labels": found["photo_id"].to_list(),
        "x": found["prediction"].to_list(),
        "series": [{"name": "observed by predicted", "values": found["like_ratio"].to_list()}],
        "diagonal": True,
    }
    return {
        "scatter": scatter,
        "slices": [one for one in slices if one["n"]],
        "gallery": [fifth for fifth in with_picture if fifth],
    }


def _slice(name: str, photos: pl.DataFrame) -> dict[str, Any]:
    said, seen, weight = (photos[column].to_numpy() for column in ("prediction", "like_ratio", "weight"))
    total = weight.sum() or 1.0
    return {
        "slice": name,
        "n": len(photos),
        "mse": float(((said - seen) ** 2 * weight).sum() / total),
        "observed": float((seen * weight).sum() / total),
        "predicted": float((said * weight).sum() / total),
    }


def relations(status: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    """Name, what a row is, and how many there are."""
    from warehouse.relations import relation

    return [(name, relation(name).summary, n) for name, n in status["relations"].items()]

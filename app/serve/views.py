"""What the pages about everything show: breakdown, photo, store. Queries of ours, laid out for charts and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.serve.snapshot import Snapshot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["breakdown", "relations", "weeks"]

_GENDERS = ("female", "male", "other", "unknown")
_STEPS = 7
"""Shades of the heat map."""


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


def relations(status: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    """Name, what a row is, and how many there are."""
    from warehouse.relations import relation

    return [(name, relation(name).summary, n) for name, n in status["relations"].items()]

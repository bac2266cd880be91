"""Data of the pages breakdown, photo and store, arranged for charts and tables."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import Any

from photogenic import sql
from photogenic._lazy import pl
from photogenic.app.serve.snapshot import Snapshot
from photogenic.models.evaluation.gender_table import pairs_of
from photogenic.warehouse.moment import EVERYTHING

__all__ = ["absent", "breakdown", "clocks", "deleted", "relations", "weeks", "with_store"]

_GENDERS = ("female", "male", "other", "unknown")
STEPS = 20
"""Number of colors of the heat map from 0 to 1: cividis, as in the report (static/style.css, .h0 to .h19)."""

_ABSENT = {
    "missing": "The picture is missing: its file or URL does not exist.",
    "empty": "The file of the picture is empty.",
    "not_an_image": "The file is not a picture.",
    "truncated": "The file of the picture is truncated.",
    "unreadable": "The picture cannot be read.",
    "too_large": "The picture is too large.",
}
"""Value of `photos.status` -> sentence for the photo page."""

_BRANCHES = {"every": "on every main photo", "latest": "on the newest one"}


def absent(status: str | None) -> tuple[str, str]:
    """Return why a photo has no picture, and the command that fetches it, or an empty text."""
    if status is None:
        return "The picture was not fetched yet.", "features fetch"
    return _ABSENT.get(status, f"The picture cannot be shown: {status.replace('_', ' ')}."), ""


def deleted(deleted_at: dt.datetime | None) -> tuple[str, str]:
    """Return why the picture of a photo of another moment is not shown, and no command."""
    if deleted_at is None:
        return "The published relations do not have this photo, so its picture is not shown.", ""
    return f"The photo was deleted at {deleted_at:%Y-%m-%d %H:%M:%S}, so its picture is not shown.", ""


def with_store(command: str, name: str) -> str:
    """Add the option --store to a shell command."""
    if not command.startswith("features ") or "--store" in command:
        return command
    return f"{command} --store {shlex.quote(name)}"


def clocks(snapshot: Snapshot) -> dict[str, str]:
    """Return the parameters of the address that ask for the moment of a snapshot; none for the published one."""
    plain = snapshot.moments.plain
    if plain is None:
        return {}
    instants = {"as_of": plain.as_of, "known_at": plain.known_at}
    return {name: instant.isoformat() + "Z" for name, instant in instants.items() if instant < EVERYTHING}


def weeks(snapshot: Snapshot, photo_id: str) -> dict[str, Any] | None:
    """Return the swipes that a photo received per week, as chart data; None without swipes."""
    if "photo_swipes" not in snapshot.relations:
        return None
    found = snapshot.query_file("weeks", {"id": photo_id})
    if not len(found):
        return None
    series = [
        {"name": name, "values": found[column].to_list()}
        for name, column in (("liked", "n_likes"), ("passed", "n_passes"))
    ]
    return {"labels": [str(week) for week in found["week"]], "series": series, "yTitle": "swipes"}


def breakdown(snapshot: Snapshot, window: str) -> dict[str, Any]:
    """Return the data of the breakdown page: the heat map of table 1 and its charts."""
    rows = snapshot.cached(
        ("table 1", window), lambda: snapshot.query(sql.read("training/breakdown"), {"window": window})
    )
    by_pair = {
        (pair.sender or "unknown", pair.recipient or "unknown"): {
            "step": min(int(pair.like_ratio * STEPS), STEPS - 1),
            "ratio": f"{pair.like_ratio:.2f}",
            "interval": "" if pair.low is None or pair.high is None else f"{pair.low:.2f} to {pair.high:.2f}",
            "n_swipes": pair.n_swipes,
        }
        for pair in pairs_of(rows.iter_rows())
    }
    senders = [name for name in _GENDERS if any(pair[0] == name for pair in by_pair)]
    recipients = [name for name in _GENDERS if any(pair[1] == name for pair in by_pair)]
    return {
        "heat": [(name, [by_pair.get((name, other)) for other in recipients]) for name in senders],
        "steps": STEPS,
        "recipients": recipients,
        "funnel": _funnel(snapshot),
        "histogram": _histogram(snapshot.query_file("histogram", {"window": window})),
        "months": _months(snapshot.query_file("months")),
    }


def _funnel(snapshot: Snapshot) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the steps of the funnel by source, and the column that its bars are shares of.

    For swipes, `every` and `latest` are two alternative counts of swipes with a photo. The labels are based on one of
    them, so they are branches and not consecutive steps.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for step in snapshot.query("from funnel order by source desc, step_no").to_dicts():
        found.setdefault(step["source"], []).append(step)
    shown = []
    for source, steps in found.items():
        counted = "n_swipes" if source == "swipes" else "n_photos"
        whole = steps[0][counted]
        labelled = steps[-1]
        for step in steps:
            step["share"] = step[counted] / (whole or 1)
            step["branch"] = step["step"] in _BRANCHES
            step["name"] = _BRANCHES.get(step["step"], step["step"].replace("_", " "))
            step["labels"] = step["branch"] and all(step[n] == labelled[n] for n in ("n_users", "n_photos"))
        if steps[0]["n_photos"] or whole:
            shown.append((source, counted.removeprefix("n_"), steps))
    return shown


def _histogram(found: pl.DataFrame) -> dict[str, Any]:
    counts = {(row["gender"], row["bin"]): row["n_photos"] for row in found.to_dicts()}
    names = _most(found, "n_photos")
    series = [{"name": name, "values": [counts.get((name, at), 0) for at in range(20)]} for name in names]
    labels = [f"{at / 20:.2f}" for at in range(20)]
    return {"labels": labels, "series": series, "xTitle": "like ratio, from", "yTitle": "photos"}


def _months(found: pl.DataFrame) -> dict[str, Any]:
    months = found["month"].unique().sort().to_list()
    ratios = {(row["gender"], row["month"]): row["like_ratio"] for row in found.to_dicts() if row["n_swipes"] >= 20}
    names = _most(found, "n_swipes")
    return {
        "labels": months,
        "series": [{"name": n, "values": [ratios.get((n, month)) for month in months]} for n in names],
        "yTitle": "like ratio",
        "zero": True,
    }


def _most(found: pl.DataFrame, column: str) -> list[str]:
    """Return the genders with at least 1 % of the total."""
    totals: dict[str, int] = {}
    for name, n in found.select("gender", column).iter_rows():
        totals[name] = totals.get(name, 0) + n
    return [name for name in _GENDERS if totals.get(name, 0) >= 0.01 * sum(totals.values())]


def relations(snapshot: Snapshot, status: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    """Return name, meaning of a row and number of rows of each relation."""
    held = snapshot.catalog
    return [
        (name, held.relation(name).summary if name in held.names else "", n) for name, n in status["relations"].items()
    ]

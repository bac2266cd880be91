"""Print a comparison of two encoders: its parts as tables, or one of them as CSV or JSON."""

from __future__ import annotations

from typing import Any

from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.models.encoder_change.compare import EncoderComparison

__all__ = ["print_comparison"]

_NAMED = 5
"""Largest number of neighbors that a table names; JSON and CSV name all."""

_COLUMNS = {
    "photos": ("photos", "n_photos"),
    "overlap": ("among", "measure", "value", "low", "high", "by_chance", "n_photos", "n_owners", "n_searched"),
    "moved": ("photo_id", "user_id", "gender", "in_common", "rbo", "neighbours_a", "neighbours_b"),
    "heads": (
        *("target", "setup", "division", "head", "encoder_a", "encoder_b", "metric", "value_a", "low_a", "high_a"),
        *("value_b", "low_b", "high_b", "less", "less_low", "less_high", "better", "n_photos", "n_test_a", "n_test_b"),
        *("run_a", "run_b"),
    ),
    "cost": (
        *("encoder", "input", "dim", "dtype", "n_photos", "licence", "photo_ms", "network_ms", "measured"),
        *("vector_bytes", "index_kind", "index_bytes", "p50_ms", "recall_at_10"),
    ),
}
"""Columns of each part, also where it has no rows."""


def print_comparison(found: EncoderComparison, only: str | None, form: Format) -> None:
    """Print all parts, or one.

    Args:
        found: the comparison.
        only: name of the part. None: all; as JSON one object with all parts.
        form: output format; CSV needs `only`.
    """
    if form == "json" and only is None:
        print_table(Table.of_records([found.record()]), form)
        return
    parts = [only] if only is not None else [*_COLUMNS]
    if form != "table":
        print_table(_table(found, parts[0]), form)
        return
    for part in parts:
        rows = found.table(part)
        if not rows and only is None:
            continue
        print_table(Table(_SHOWN[part][0], [_SHOWN[part][1](row) for row in rows]), title=_title(found, part))
        print()
    for note in found.notes:
        print_message(note)
    for command in found.train:
        print_message(f"To train what lacks a counterpart: {command}")


def _table(found: EncoderComparison, part: str) -> Table:
    columns = _COLUMNS[part]
    return Table(columns, [tuple(row[name] for name in columns) for row in found.table(part)])


def _title(found: EncoderComparison, part: str) -> str:
    a, b, k = found.encoder_a, found.encoder_b, found.k
    when = f", {found.moment}" if found.moment else ""
    return {
        "photos": f"Photos of the store{when}",
        "overlap": f"Neighbors by {a} and {b}: share in common, 95 % over owners",
        "moved": f"Photos whose {k} nearest differ most: a is {a}, b is {b}",
        "heads": f"Heads on the same test photos: a is {a}, b is {b}; less: error of a minus error of b",
        "cost": "Cost: milliseconds and bytes are per photo",
    }[part]


def _overlap(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("n_photos", "n_owners", "n_searched")
    between = _between(row["low"], row["high"])
    return (row["among"], row["measure"], row["value"], between, row["by_chance"], *(row[name] for name in names))


def _moved(row: dict[str, Any]) -> tuple[object, ...]:
    near = [_some(row[f"neighbours_{side}"]) for side in "ab"]
    return (row["photo_id"], row["gender"], row["in_common"], row["rbo"], *near)


def _heads(row: dict[str, Any]) -> tuple[object, ...]:
    joined = "+".join(part for part in row["encoder_a"].split("+") if part in row["encoder_b"].split("+"))
    division = "" if row["division"] == "8:1:1" else f", {row['division']}"
    figures = (
        row["value_a"],
        _between(row["low_a"], row["high_a"]),
        row["value_b"],
        _between(row["low_b"], row["high_b"]),
        row["less"],
        _between(row["less_low"], row["less_high"]),
    )
    what = (row["target"], row["setup"] + division, joined or None, row["head"], row["metric"])
    return (*what, *figures, row["better"], row["n_photos"])


def _cost(row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in _COLUMNS["cost"])


_SHOWN: dict[str, tuple[tuple[str, ...], Any]] = {
    "photos": (_COLUMNS["photos"], lambda row: (row["photos"], row["n_photos"])),
    "overlap": (("among", "measure", "value", "95 %", "by chance", "photos", "owners", "searched"), _overlap),
    "moved": (("photo_id", "gender", "in common", "rbo", "nearest by a", "nearest by b"), _moved),
    "heads": (
        (
            *("target", "setup", "joined with", "head", "metric"),
            *("a", "95 %", "b", "95 %", "less", "95 %", "better", "photos"),
        ),
        _heads,
    ),
    "cost": (_COLUMNS["cost"], _cost),
}


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else "")


def _between(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:.4f} to {high:.4f}"

"""Slices: error, bias and rank correlation by group of people, with counts and intervals.

A slice is much worse if the lower end of the 95 % interval over users of (error of the slice / error of all other
photos) is above `MUCH`. Slices describe what a head does; they change no prediction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from photogenic._lazy import pl
from photogenic.models.data.array_types import Strings
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import bootstrap, interval, rank_correlation
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.wilson import effective_sample_size, per_user, wilson
from photogenic.warehouse import InputError

__all__ = ["FEWEST", "MOST", "MUCH", "Slice", "by_gender", "by_value", "read_columns"]

Interval: TypeAlias = tuple[float | None, float | None, float | None]
"""A figure, and the lower and upper end of its 95 % interval."""

MUCH = 1.25
MOST = 20
"""Largest number of values of a column."""

FEWEST = 10
"""Smallest number of users of a slice that is ranked and may have a warning."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One group of test photos.

    Attributes:
        column: column that defines the group: gender, or a column of the user's file.
        error: mean squared error, or share of wrong answers, weighted as in the target.
        ratio: error of the group divided by the error of all other photos.
        bias: mean prediction minus mean label; above 0 if the head predicts too high.
        spearman: rank correlation; for a binary target, between probability and label. None if undefined.
        warning: whether the slice is much worse than the other photos.

    error, ratio, bias and spearman are (value, low, high).
    """

    column: str
    value: str
    n_photos: int
    n_users: int
    error: Interval
    ratio: Interval
    bias: Interval
    spearman: Interval
    warning: bool

    def recorded(self) -> dict[str, Any]:
        """Return the slice as a JSON object."""
        return asdict(self)


def by_gender(target: Target, predictions: Predictions, seed: int = 0) -> list[Slice]:
    """Return slices of women, men and people of unknown gender; an empty list if all have the same gender."""
    values = np.where(predictions.gender == "", "unknown", predictions.gender)
    return by_value(target, "gender", values, predictions, seed=seed)


def by_value(
    target: Target,
    column: str,
    values: Strings,
    predictions: Predictions,
    *,
    seed: int = 0,
) -> list[Slice]:
    """Return one slice per value, most photos first; an empty list if all photos have the same value.

    Args:
        target: target that defines the error.
        column: name of the column.
        values: value of each photo, (n,).
        predictions: predictions of the photos with their labels.
        seed: seed of the bootstrap.
    """
    names, counts = np.unique(values, return_counts=True)
    if len(names) < 2:
        return []
    y, p, weight = (np.asarray(array, np.float64) for array in (predictions.y, predictions.p, predictions.weight))
    users = predictions.user_ids
    wrong = (y - p) ** 2 if target.metric == "mse" else ((p >= 0.5) != (y == 1)).astype(np.float64)
    found = []
    for name in names[np.argsort(-counts, kind="stable")].tolist():
        rng, own = np.random.default_rng(seed), values == name
        terms = [own * weight, own * weight * wrong, ~own * weight, ~own * weight * wrong, own * weight * (p - y)]
        sums = per_user(np.stack(terms, 1), users)
        figures = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for totals, into in ((sums.sum(0), 0), (bootstrap(sums, rng), 1)):
                n, error, n_rest, error_rest, bias = np.moveaxis(totals, -1, 0)
                parts = {"error": error / n, "ratio": (error / n) / (error_rest / n_rest), "bias": bias / n}
                for key, value in parts.items():
                    figures[key, into] = value
        n_users = len(np.unique(users[own]))
        whole: dict[str, Interval] = {}
        for key in ("error", "ratio", "bias"):
            low, high = interval(figures[key, 1]) if n_users > 1 else (None, None)
            whole[key] = (_known(figures[key, 0]), low, high)
        if target.metric == "accuracy" and n_users > 1:
            # If all answers are right, or all are wrong, a bootstrap cannot estimate the rate of the other case.
            share = whole["error"][0]
            ends = wilson(float("nan") if share is None else share, effective_sample_size(weight[own], users[own]))
            whole["error"] = (share, ends[0], ends[1])
            if not (wrong[own].any() and wrong[~own].any()):
                whole["ratio"] = (whole["ratio"][0], None, None)
        low = whole["ratio"][1]
        found.append(
            Slice(
                column,
                str(name),
                int(own.sum()),
                n_users,
                whole["error"],
                whole["ratio"],
                whole["bias"],
                spearman=rank_correlation(y[own], p[own], users[own], rng) if n_users >= FEWEST else (None, None, None),
                warning=low is not None and low > MUCH and n_users >= FEWEST,
            )
        )
    return found


def read_columns(path: str | Path) -> pl.DataFrame:
    """Read the user's slices: photo_id or user_id, and one or more columns of values.

    A column with more than `MOST` values is left out.

    Args:
        path: CSV or Parquet file.

    Raises:
        InputError: the file does not exist, lacks these columns, has no rows, or contradicts itself: it has two
            columns of the same name, or two values for one photo or user.
    """
    file = Path(path)
    if not file.is_file():
        what = f"{file} is a folder." if file.is_dir() else f"There is no {file}."
        raise InputError(what, "a CSV or Parquet file of slices", "--slices FILE.csv")
    try:
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file, glob=False)
        else:
            frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
        _check_names(file, frame.columns)
        key = next((name for name in ("photo_id", "user_id") if name in frame.columns), None)
        if key is None or not set(frame.columns) - {"photo_id", "user_id"}:
            raise InputError(
                f"{file} has the columns {', '.join(frame.columns)}.",
                "photo_id or user_id, and at least one column that divides the photos",
                "a first line such as photo_id,age_group",
            )
        frame = frame.cast(pl.String).drop_nulls(key)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{file} cannot be read: {error}", "a CSV or Parquet file", "--slices FILE.csv") from error
    if frame.is_empty():
        raise InputError(f"{file} has no row with a {key}.", f"a row for each {key}", "--slices FILE.csv")
    frame = frame.drop({"photo_id", "user_id"} - {key}, strict=False)
    few = [name for name in frame.columns if name != key and frame[name].n_unique() <= MOST]
    if not few:
        raise InputError(
            f"Every column of {file} has more than {MOST} values.", "groups of people", "--slices FILE.csv"
        )
    return _one_row_each(file, frame.select(key, *few), key)


def _check_names(file: Path, names: Sequence[str]) -> None:
    """Refuse columns with equal names; polars renames a second `age` to age_duplicated_0."""
    seen: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"_duplicated_\d+$", "", name)
        plain = (plain if plain in names else name).strip()
        former = seen.setdefault(plain.casefold(), plain)
        if name != former:
            raise InputError(
                f"{file} has two columns called {former!r}."
                if plain == former
                else f"{file} has a column {former!r} and a column {plain!r}.",
                "names that differ in more than upper and lower case or spaces",
                "give one of them another name in the first line",
            )


def _one_row_each(file: Path, frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Merge the rows of each key; a missing value is filled from another row.

    Raises:
        InputError: two rows have different values for one key.
    """
    others = [name for name in frame.columns if name != key]
    n_values = frame.group_by(key, maintain_order=True).agg(pl.col(others).drop_nulls().n_unique())
    for name in others:
        twice = n_values.filter(pl.col(name) > 1)[key]
        if len(twice):
            said = frame.filter(pl.col(key) == twice[0])[name].drop_nulls().unique(maintain_order=True).to_list()
            raise InputError(
                f"{file} gives two values of {name} for {key} {twice[0]!r}: {said[0]!r} and {said[1]!r}"
                + (f"; {len(twice) - 1:,} more {key}s have two values as well." if len(twice) > 1 else "."),
                f"one {name} for each {key}",
                f"leave one row for each {key}",
            )
    return frame.group_by(key, maintain_order=True).agg(pl.col(others).drop_nulls().first())


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None

"""Leakage audit: check, before each training, that train and test share nothing; the run records the result.

The split already keeps owners, equal bytes and near-duplicates together. The audit counts them independently, and
also checks the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from photogenic import sql
from photogenic.features.encoders.finetuned import run_of
from photogenic.models.data.array_types import Strings
from photogenic.models.data.samples import SPLITS, Samples, encoder_parts
from photogenic.models.data.split import Groups
from photogenic.models.data.split_config import SplitConfig
from photogenic.warehouse import Database, StoreError

__all__ = ["audit", "check_tuned", "duplicates_known"]

SUSPICIOUS = 0.999
"""Smallest correlation of a dimension of the vector, or of an input, with the label that counts as a leaked label."""


def audit(
    samples: Samples,
    groups: Groups,
    division: SplitConfig,
    *,
    known_duplicates: bool,
    inputs: Sequence[str] = (),
    allow_correlated: bool = False,
) -> dict[str, Any]:
    """Count what train, dev and test have in common.

    Args:
        samples: samples with their split.
        groups: groups of the same photos in the same order.
        division: division into train, dev and test.
        known_duplicates: whether near-duplicates were ever searched for.
        inputs: names of the inputs beside the vectors, the last columns of X.
        allow_correlated: whether an input may tell the label.

    Returns:
        `division`; the numbers of users, bytes and clusters that occur in more than one split; `vectors`, the number of
        dev and test photos with the same vector as a train photo; `strongest_number`, the largest correlation of a
        dimension of the vector with the label on test; `inputs`, that of each input on all photos; `later` (only by
        time), whether test is newer than train.

    Raises:
        StoreError: the split leaks, or an input tells the label.
    """
    found: dict[str, Any] = {"division": division.name, "near_duplicates": "known" if known_duplicates else "unknown"}
    for kind, values in groups.links.items():
        found[{"user": "users", "bytes": "bytes", "cluster": "clusters"}[kind]] = _count_shared(values, samples.split)
    if inputs:
        found["inputs"] = {
            name: _largest_correlation(_known(replace(samples, X=samples.X[:, [at]])))
            for at, name in enumerate(inputs, start=samples.X.shape[1] - len(inputs))
        }
        samples = replace(samples, X=samples.X[:, : -len(inputs)])
    train, test = samples.part("train"), samples.part("test")
    seen = {row.tobytes() for row in train.X}
    others = samples.rows(samples.split != "train").X
    found["vectors"] = sum(row.tobytes() in seen for row in others) if samples.X.shape[1] else 0
    found["strongest_number"] = _largest_correlation(test)
    if division.by_time:
        times = {split: groups.shown_at[samples.split == split] for split in ("train", "test")}
        found["later"] = bool(times["train"].max() < times["test"].min())
    leaks = {kind: found[kind] for kind in ("users", "bytes", "clusters") if found[kind]}
    if found["strongest_number"] > SUSPICIOUS:
        leaks["strongest_number"] = round(found["strongest_number"], 4)
    answers = [name for name, strength in found.get("inputs", {}).items() if strength > SUSPICIOUS]
    if answers and not allow_correlated:
        raise StoreError(
            f"The input {answers[0]} contains the answer: its correlation with the label is "
            f"{found['inputs'][answers[0]]:.4f}.",
            "inputs that are known before the label",
            f"--features without {' and '.join(answers)}; or --allow-correlated, if each was known before the label",
        )
    if leaks or found.get("later") is False:
        raise StoreError(
            f"Train and test are not separate: {leaks or 'test is not newer than train'}.",
            "no user, picture or duplicate cluster in two splits, and no label in the vectors",
            "features build, then features train; if the error remains, check the vectors and labels of the store",
        )
    return found


def check_tuned(
    database: Database, encoder: str, samples: Samples, groups: Groups, *, besides: str | None = None
) -> None:
    """Refuse to test an encoder on photos that it was fine-tuned on, or on photos of the same people.

    Args:
        database: database with `predictions`, which records the photos that each run learned from.
        encoder: encoder names, joined by `+`.
        samples: samples with their split.
        groups: groups of the same photos in the same order.
        besides: id of an unpublished run to skip, because it is being evaluated with its own split.

    Raises:
        StoreError: test holds such photos, or the photos are unknown.
    """
    for name in encoder_parts(encoder):
        run_id = run_of(name)
        if run_id is None or run_id == besides:
            continue
        if not (rows := database.rows(sql.read("training/learnt"), {"run": run_id})):
            raise StoreError(
                f"The photos that {name} was fine-tuned on are unknown, because its run was not finished.",
                f"rows of run {run_id} in predictions",
                "run the same features finetune again: it continues where it stopped",
            )
        learnt = np.isin(samples.photo_ids, [photo_id for (photo_id,) in rows])
        known = np.isin(groups.group, groups.group[learnt]) & (samples.split == "test")
        if known.any():
            raise StoreError(
                f"{int(known.sum())} of {int(np.sum(samples.split == 'test'))} photos of test are, or share a person "
                f"with, photos that {name} was fine-tuned on.",
                "test photos that the encoder was not trained on",
                f"use the setup and division of its run: features sql \"from runs where run_id = '{run_id}'\"",
            )


def duplicates_known(database: Database) -> bool:
    """Return whether `features build --near-duplicates` was ever run on the store."""
    ((said,),) = database.rows(
        "select comment from system.main.duckdb_tables() where schema_name = 'facts' and table_name = 'near_duplicates'"
    )
    return said is not None


def _known(rows: Samples) -> Samples:
    """Return the rows in which no value is missing."""
    return rows.rows(np.isfinite(rows.X).all(1))


def _count_shared(values: Strings, split: Strings) -> int:
    """Return the number of values that occur in more than one split; '' counts as no value."""
    names, value = np.unique(values, return_inverse=True)
    sides = np.zeros((len(names), len(SPLITS)), bool)
    sides[value, np.searchsorted(sorted(SPLITS), split)] = True
    return int(np.sum((sides.sum(1) > 1) & (names != "")))


def _largest_correlation(rows: Samples) -> float:
    """Return the largest correlation, 0 to 1; 0 where labels or dimensions are constant."""
    if len(rows) < 10:
        return 0.0  # with few photos, high correlations occur by chance
    X, y = rows.X - rows.X.mean(0), rows.y - rows.y.mean()
    size = np.sqrt((X * X).sum(0) * (y * y).sum())
    found = np.abs(y @ X)[size > 0] / size[size > 0]
    return float(found.max(initial=0.0))

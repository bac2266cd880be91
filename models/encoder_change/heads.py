"""Heads on two encoders side by side: pairs of runs that were trained alike, on the test photos that both predicted.

Two runs are a pair if target, weight, setup, division, kind of head and further inputs are the same, and the encoder of
one becomes that of the other when B takes the place of A: `x+A` and `x+B` too. If several runs are alike, the newest
counts. Each run has predicted its test photos without learning from them, so a photo counts if it was in test of both.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from photogenic._lazy import pl
from photogenic.models.data.samples import NO_ENCODER, Samples, encoder_parts, gather
from photogenic.models.data.targets import Target, target_of
from photogenic.models.evaluation.comparison import Entry, compare_pair
from photogenic.models.evaluation.leaderboard import unpacked
from photogenic.models.evaluation.metrics import evaluate
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.runs.run_store import INGESTED
from photogenic.warehouse import InputError, Store, StoreError

__all__ = ["HeadPair", "PairedHeads", "pair_heads"]

_PLACE = "\0"
"""Stands for A or B in the parts of an encoder `x+A`."""

_VERDICTS: dict[str, Literal["a", "b", "undecided"]] = {"less": "b", "more": "a", "undecided": "undecided"}


@dataclass(frozen=True, slots=True)
class HeadPair:
    """Two runs side by side.

    Attributes:
        encoder_a, encoder_b: encoders of the runs; both may have further parts, `x+A` and `x+B`.
        metric: `mse`, of which less is better, or `accuracy`.
        value_a, value_b: figures on the photos that both have predicted in test, with 95 % intervals over users.
        less: error of A minus error of B, for an accuracy the share of wrong answers; above 0, B is better.
        less_low, less_high: its 95 % interval over users, which are drawn for both heads together.
        better: a or b if the interval of `less` is on one side of 0 (for accuracies, if a sign test over users agrees),
            else undecided.
        n_photos: photos that both have predicted; n_test_a, n_test_b: those of each.
    """

    target: str
    setup: str
    division: str
    head: str
    encoder_a: str
    encoder_b: str
    metric: str
    value_a: float
    low_a: float | None
    high_a: float | None
    value_b: float
    low_b: float | None
    high_b: float | None
    less: float
    less_low: float | None
    less_high: float | None
    better: Literal["a", "b", "undecided"]
    n_photos: int
    n_test_a: int
    n_test_b: int
    run_a: str
    run_b: str


@dataclass(frozen=True, slots=True)
class PairedHeads:
    """The pairs, commands that train what lacks a counterpart, and notes."""

    pairs: list[HeadPair] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pair_heads(store: Store, a: str, b: str, *, seed: int = 0) -> PairedHeads:
    """Compare the runs that were trained alike on two encoders. Nothing is trained.

    Args:
        store: the open store.
        a: name of the encoder in use.
        b: name of the other encoder.
        seed: seed of the bootstrap.
    """
    rows = store.database.frame("from runs order by created_at, run_id").to_dicts()
    runs_a, runs_b = _alike(rows, a, b), _alike(rows, b, a)
    found = PairedHeads()
    if not runs_a and not runs_b:
        found.train.append(f"features train --encoder {shlex.quote(a)} --encoder {shlex.quote(b)}")
        found.notes.append(f"No head was trained on {a} or {b}.")
        return found
    samples: dict[tuple[Any, ...], tuple[Target, Samples] | None] = {}
    for key in sorted(runs_a.keys() & runs_b.keys()):
        run_a, run_b = runs_a[key], runs_b[key]
        of = (run_a["target"], run_a["weight"], run_a["setup"])
        if of not in samples:
            samples[of] = _labels(store, *of, notes=found.notes)
        known = samples[of]
        pair = _pair(store, known, run_a, run_b, seed) if known is not None else None
        if pair is not None:
            found.pairs.append(pair)
        elif known is not None:
            found.notes.append(
                f"Runs {run_a['run_id']} and {run_b['run_id']} ({run_a['target']}, {run_a['head']}) have no test photo "
                "in common: labels or splits have changed between them."
            )
    lacking = [run | {"encoder": _swapped(run["encoder"], a, b)} for key, run in runs_a.items() if key not in runs_b]
    lacking += [run | {"encoder": _swapped(run["encoder"], b, a)} for key, run in runs_b.items() if key not in runs_a]
    found.train.extend(_commands(lacking))
    return found


def _alike(rows: Sequence[Mapping[str, Any]], own: str, other: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the newest run on an encoder for each way to train; those on both encoders are left out."""
    found = {}
    for row in map(unpacked, rows):
        parts = encoder_parts(row["encoder"])
        if row["origin"] == INGESTED or own not in parts or other in parts:
            continue
        chosen = row["hyperparameters"]
        flip = bool(chosen.get("flip", False))
        where = tuple(sorted(_PLACE if part == own else part for part in parts))
        key = (row["target"], row["weight"] or "", row["setup"], row["division"], row["head"], where, flip)
        found[(*key, row["inputs"])] = row | {"flip": flip}
    return found


def _labels(
    store: Store, target: str, weight: str | None, setup: str, *, notes: list[str]
) -> tuple[Target, Samples] | None:
    """Return the labeled photos of a target; None, with a note, if the store does not have it any more."""
    try:
        with store.database.read(query="from clock") as con:
            named = target_of(con, target, weight=weight)
        return named, gather(store, named, NO_ENCODER, setup)[0]
    except (InputError, StoreError) as error:
        notes.append(f"Heads for {target} are left out: {error.what} Try: {error.remedy}")
        return None


def _pair(
    store: Store, labels: tuple[Target, Samples], run_a: Mapping[str, Any], run_b: Mapping[str, Any], seed: int
) -> HeadPair | None:
    """Compare two runs; None without common test photos."""
    target, samples = labels
    stored = store.database.frame(
        "select run_id, photo_id, prediction from predictions where list_contains($runs, run_id) and split = 'test'",
        {"runs": [run_a["run_id"], run_b["run_id"]]},
    )
    tests = [stored.filter(stored["run_id"] == run["run_id"]) for run in (run_a, run_b)]
    both = tests[0].join(tests[1], on="photo_id", suffix="_b", how="inner")
    photos = pl.DataFrame({"photo_id": samples.photo_ids.tolist(), "row": np.arange(len(samples))})
    both = both.join(photos, on="photo_id", how="inner").sort("photo_id")
    if not len(both):
        return None
    rows = samples.rows(both["row"].to_numpy())
    entries = [
        Entry(
            run["run_id"],
            run["encoder"],
            run["head"],
            0.0,
            Predictions.of([rows], both[name].to_numpy().astype(np.float64), [float(run["results"]["constant"])]),
        )
        for run, name in ((run_a, "prediction"), (run_b, "prediction_b"))
    ]
    of_a, of_b = entries
    compared = compare_pair(target, of_b.predictions, of_a, seed)
    figures = [_figure(target, entry.predictions, seed) for entry in entries]
    return HeadPair(
        target=target.name,
        setup=run_a["setup"],
        division=run_a["division"],
        head=run_a["head"],
        encoder_a=run_a["encoder"],
        encoder_b=run_b["encoder"],
        metric=target.metric,
        value_a=figures[0][0],
        low_a=figures[0][1],
        high_a=figures[0][2],
        value_b=figures[1][0],
        low_b=figures[1][1],
        high_b=figures[1][2],
        less=compared.less[0],
        less_low=compared.less[1],
        less_high=compared.less[2],
        better=_VERDICTS[compared.verdict],
        n_photos=compared.n_photos,
        n_test_a=len(tests[0]),
        n_test_b=len(tests[1]),
        run_a=run_a["run_id"],
        run_b=run_b["run_id"],
    )


def _figure(target: Target, of: Predictions, seed: int) -> tuple[float, float | None, float | None]:
    rng = np.random.default_rng(seed)
    found = evaluate(target, of.y, of.p, weight=of.weight, users=of.user_ids, constant=of.constant, rng=rng)
    low, high = found["intervals"]["metric"]
    return found["metric"], low, high


def _swapped(encoder: str, old: str, new: str) -> str:
    return "+".join(new if part == old else part for part in encoder_parts(encoder))


def _commands(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one command for each group of runs that differ only in the kind of head."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        words = ["--target", run["target"], "--setup", run["setup"], "--encoder", run["encoder"]]
        words += _division(run["division"])
        words += ["--weight", run["weight"]] if run["weight"] else []
        words += ["--features", ",".join(run["inputs"])] if run["inputs"] else []
        words += ["--flip"] if run["flip"] else []
        groups.setdefault(shlex.join(words), []).append(run["head"])
    return [
        f"features train {words} {shlex.join(word for head in dict.fromkeys(heads) for word in ('--head', head))}"
        for words, heads in groups.items()
    ]


def _division(name: str) -> list[str]:
    """Return the options that give a division of this name (`SplitConfig.name`)."""
    words = []
    if folds := re.match(r"(\d+) folds", name):
        words += ["--folds", folds[1]]
    elif ratio := re.match(r"\d+(:\d+)+", name):
        words += ["--ratio", ratio[0]] if ratio[0] != "8:1:1" else []
    words += ["--by-time"] if " by time" in name else []
    if seed := re.search(r", seed (-?\d+)", name):
        words += ["--division-seed", seed[1]]
    return words

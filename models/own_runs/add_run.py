"""Take in predictions that were made elsewhere as a run: evaluated, compared, and in every place where runs are shown.

    1. test      read and split the labeled photos as a training does; nothing is written if there are none
    2. load      read files or a frame; what cannot be used is a reject with its reason (ingest/tabular/predictions.py)
    3. evaluate  figures, intervals and slices on the photos of test that the predictions were not learned from
    4. store     rows of `runs`, `predictions` and `ingests`, in the transaction of the load
    5. compare   with the heads of the same target, setup and division, on the photos that both predict

The run id is a digest of the name, the sound predictions, what they were learned from, and the test. The same call on
the same labels finds its run and changes nothing; other predictions under the same name make another run, and the name
then means the newest. Such a run has no weights: it is shown and compared, and never predicts new pictures.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from photogenic._lazy import duckdb, pl
from photogenic.ingest.tabular.mapping_file import Given
from photogenic.ingest.tabular.predictions import Data, Sound, load_predictions, read_photo_ids
from photogenic.ingest.tabular.report import IngestReport
from photogenic.models.data.targets import Target, is_column, target_of
from photogenic.models.evaluation.comparison import Entry, HeadComparison, compare_with
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.own_runs.held_out import Evaluated, HeldOut, Learned
from photogenic.models.own_runs.options import AddRunOptions
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import INGESTED
from photogenic.warehouse import InputError, Store

if TYPE_CHECKING:
    from photogenic.models.evaluation.predictions import Predictions

__all__ = ["AddedRun", "add_run", "check_name"]

_RULES = 1
"""Version of the evaluation; increased if the same predictions and labels would give another run."""

_NAME, _ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}"), re.compile(r"[0-9a-f]{12}")

MOST = 12
"""Largest number of other runs to compare with, best on dev first."""


@dataclass(frozen=True, slots=True)
class AddedRun:
    """Result of `add_run`.

    Attributes:
        run_id: id of the run.
        is_new: whether the call added it; otherwise the store had it.
        reports: counts of each file.
        leaderboard: the runs of the target, with a comparison of this run with the others.
    """

    run_id: str
    is_new: bool
    reports: list[IngestReport]
    leaderboard: Leaderboard


def add_run(
    store: Store,
    name: str,
    data: Data,
    options: AddRunOptions | None = None,
    *,
    mapping: Given = None,
    trained_on: Data = None,
) -> AddedRun:
    """Take in predictions as a run. May be killed and started again at any time.

    Args:
        store: store with labels.
        name: name of the run.
        data: files, or a frame, with photo_id and prediction, and optionally split; see `ingest.tabular.predictions`.
        options: target, setup and division. None: the defaults.
        mapping: mapping of columns and values.
        trained_on: photos that the predictions were learned from. None: those whose `split` is train or dev.

    Raises:
        InputError: the name, target or setup cannot be used, a file cannot be read, or no photo of test is predicted.
        StoreError: the store has no labels.
        LockedError: another process writes.
    """
    options = options or AddRunOptions()
    check_name(name)
    store.database.require()
    target = _target(store, options)
    held_out = HeldOut.of(store, target, options.setup, options.division)
    stated = None if trained_on is None else read_photo_ids(store, trained_on)
    added: list[tuple[str, bool]] = []

    def finish(con: duckdb.DuckDBPyConnection, sound: Sound) -> bool:
        learned = _learned(con, sound, stated)
        run_id = _run_id(name, held_out, sound, learned, options)
        is_new = not con.execute("select 1 from facts.runs where run_id = $1", [run_id]).fetchall()
        if is_new:
            evaluated = held_out(sound.rows, learned, options.seed)
            _insert(con, {"run_id": run_id, "name": name, "head": name}, held_out, evaluated, sound)
        added.append((run_id, is_new))
        return is_new

    reports = load_predictions(store, data, mapping=mapping, bounds=_bounds(target), finish=finish)
    [(run_id, is_new)] = added
    _note(store, run_id, name, options, is_new=is_new)
    board = leaderboard(
        store.database, run_store.alike(store.database, target.name, options.setup, held_out.division.name)
    )
    return AddedRun(run_id, is_new, reports, replace(board, comparisons=_compared(store, held_out, run_id)))


def check_name(name: str) -> None:
    """Refuse a name that could be taken for a run id, or that is no plain word.

    Raises:
        InputError: the name cannot be used.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _ID.fullmatch(name):
        shown = str(name)
        raise InputError(
            f"{shown[:80]!r} is no name for a run.",
            "up to 64 letters, digits, '_', '.' and '-', beginning with a letter, and not 12 hexadecimal digits",
            "--run my_model-2",
        )


def _bounds(target: Target) -> tuple[float | None, float | None]:
    """Return the least and greatest prediction of a target: a ratio and a probability have bounds, a number none."""
    return (0.0, 1.0) if target.bounded else (None, None)


def _target(store: Store, options: AddRunOptions) -> Target:
    """Return the target, whose column and weight must be there.

    Raises:
        InputError: there is no such target, column or weight.
    """
    if options.weight is not None and not is_column(options.target):
        raise InputError(
            f"The weight {options.weight} is for a target that is a column, and {options.target} is none.",
            "a target such as relation.column",
            "leave out --weight",
        )
    with store.database.read(query="from clock") as con:
        return target_of(con, options.target, weight=options.weight)


def _learned(con: duckdb.DuckDBPyConnection, sound: Sound, stated: frozenset[str] | None) -> Learned | None:
    """Return what the predictions were learned from, with owners and bytes. None: the user does not say."""
    if stated is None and not sound.tells_splits:
        return None
    ids = sorted((stated or frozenset()) | sound.learned)
    rows = con.execute(
        "select distinct user_id, sha256 from photos where list_contains($1::varchar[], photo_id)", [ids]
    ).fetchall()
    return Learned(ids, {user for user, _ in rows if user}, {sha256 for _, sha256 in rows if sha256})


def _run_id(name: str, held_out: HeldOut, sound: Sound, learned: Learned | None, options: AddRunOptions) -> str:
    content = hashlib.sha256()
    for row in sound.rows.select("photo_id", "prediction").iter_rows():
        content.update(f"{row[0]}\0{row[1]!r}\n".encode())
    stated = None if learned is None else hashlib.sha256("\0".join(learned.photo_ids).encode()).hexdigest()
    decided_by = [INGESTED, _RULES, name, held_out.target.name, options.setup, asdict(options.division)]
    decided_by += _weight(held_out.target).values()
    return run_store.run_id([*decided_by, content.hexdigest(), stated, held_out.digest(), options.seed])


def _insert(
    con: duckdb.DuckDBPyConnection, names: dict[str, str], held_out: HeldOut, evaluated: Evaluated, sound: Sound
) -> None:
    """Add the rows of `runs` and `predictions`, in the open transaction."""
    row: dict[str, Any] = names | {
        "target": held_out.target.name,
        "setup": held_out.setup,
        "encoder": INGESTED,
        "metric": held_out.target.metric,
        "dev": evaluated.dev,
        "test": evaluated.figure,
        "baseline": evaluated.baseline,
        "n_train": evaluated.results["audit"]["n_learned"] or 0,
        "n_test": len(evaluated.test.y),
        "hyperparameters": json.dumps({"division": held_out.division.name} | _weight(held_out.target)),
        "results": json.dumps(evaluated.results),
        "created_at": max(sound.stamp, dt.datetime.now(dt.UTC).replace(tzinfo=None)),
        "origin": INGESTED,
    }
    marks = ", ".join(f"${column}" for column in row)
    con.execute(f"insert into facts.runs ({', '.join(row)}) values ({marks})", row)
    ids = sound.rows["photo_id"].to_list()
    split = pl.Series("split", [evaluated.split.get(photo_id) for photo_id in ids], dtype=pl.String)
    con.register("new_rows", sound.rows.select("photo_id", "prediction").with_columns(split))
    con.execute(
        "insert into facts.predictions by name select $1 as run_id, photo_id, split, prediction from new_rows",
        [names["run_id"]],
    )
    con.unregister("new_rows")


def _weight(target: Target) -> dict[str, str]:
    return {} if target.weight is None else {"weight": target.weight.name}


def _note(store: Store, run_id: str, name: str, options: AddRunOptions, *, is_new: bool) -> None:
    [(results,)] = store.database.rows("select results from runs where run_id = $1", [run_id])
    found = json.loads(results)
    covered, audit = found["coverage"], found["audit"]
    store.progress.note(
        f"Run {run_id} ({name}) {'is added' if is_new else 'was there before'}: evaluated on "
        f"{covered['n_predicted']:,} of {covered['n_photos']:,} photos of test in setup {options.setup} "
        f"({covered['share']:.0%})."
    )
    if audit["learned_from"] == "not_said":
        store.progress.note(
            "What these predictions were learned from is not said, so nothing checks whether they knew photos of test. "
            "Say it with a column split or with --trained-on."
        )
    elif audit["n_test_left_out"]:
        store.progress.note(
            f"{audit['n_test_left_out']:,} more photos of test do not count: the predictions were learned from them, "
            "or from photos of the same people."
        )


def _compared(store: Store, held_out: HeldOut, run_id: str) -> Sequence[HeadComparison]:
    """Compare the run with the best on dev of the other runs, each on the photos that both predict."""
    ids = run_store.alike(store.database, held_out.target.name, held_out.setup, held_out.division.name)
    rows = store.database.frame(
        "select run_id, encoder, head, dev from runs where list_contains($runs, run_id)"
        " and json_extract_string(hyperparameters, '$.weight') is not distinct from $weight",
        {"runs": ids, "weight": _weight(held_out.target).get("weight")},
    ).to_dicts()
    worst = float("-inf") if held_out.target.higher_is_better else float("inf")
    entries = {row["run_id"]: _with_dev(row, worst) for row in rows}
    sign = -1 if held_out.target.higher_is_better else 1
    others = sorted((row for name, row in entries.items() if name != run_id), key=lambda row: sign * row["dev"])[:MOST]
    wanted = [entries[run_id], *others]
    stored = store.database.frame(
        "select run_id, photo_id, prediction from predictions where list_contains($runs, run_id) and split = 'test'",
        {"runs": [row["run_id"] for row in wanted]},
    )
    found = [_entry(row, held_out.predictions_of(stored.filter(stored["run_id"] == row["run_id"]))) for row in wanted]
    return [compare_with(held_out.target, held_out.setup, found[0], found[1:])]


def _with_dev(row: dict[str, Any], worst: float) -> dict[str, Any]:
    """Return a row of `runs` with the worst figure in place of a missing one on dev."""
    return row | {"dev": worst if row["dev"] is None else row["dev"]}


def _entry(row: dict[str, Any], predictions: Predictions) -> Entry:
    return Entry(row["run_id"], row["encoder"], row["head"], row["dev"], predictions)

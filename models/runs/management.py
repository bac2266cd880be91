"""List, show, promote and remove runs.

A promoted run predicts its target until another one is promoted, or none (`models.runs.run_selection`). A removed run
is gone from disk and from the relations `runs` and `predictions`. A killed removal leaves a run that cannot predict,
and the same call again completes it.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from photogenic._lazy import pl
from photogenic.features.encoders.finetuned import TUNABLE, run_of
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.data.targets import target as target_named
from photogenic.models.evaluation.leaderboard import in_order, unpacked
from photogenic.models.runs import run_store
from photogenic.models.runs.input_check import check_encoders
from photogenic.models.runs.run_names import find_run, without_weights
from photogenic.models.runs.run_selection import Candidate, LeftOut, choose, problem_here
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import InputError, PhotogenicError, Store, StoreError

__all__ = ["Removed", "demote_run", "list_runs", "promote_run", "remove_run", "show_run"]

_KINDS = {
    **dict.fromkeys(("run_id", "name", "target", "setup", "encoder", "head", "division", "metric"), "string"),
    **dict.fromkeys(("dev", "test", "low", "high", "baseline", "coverage"), "number"),
    **dict.fromkeys(("n_train", "n_test"), "count"),
    **dict.fromkeys(("origin", "audit"), "string"),
    **dict.fromkeys(("promoted", "answers"), "flag"),
}
"""Columns of `list_runs` before `problem` and `created_at`, with their kind."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What `remove_run` removed.

    Attributes:
        n_predictions: rows of `predictions`.
        n_files, n_bytes: files of the run, and of the vectors of a network that it had fine-tuned.
        was_promoted: whether it was the promoted run of its target.
    """

    run_id: str
    n_predictions: int
    n_files: int
    n_bytes: int
    was_promoted: bool


def list_runs(store: Store, target: str | None = None) -> pl.DataFrame:
    """Return one row per run, by target, setup and division, best on dev first.

    Args:
        store: the open store.
        target: only runs of this target. None: all.

    Returns:
        Columns run_id, name, target, setup, encoder, head, division, metric, dev, test with its 95 % interval low and
        high, baseline, coverage (share of the test photos that it predicts; NULL: all that have its vectors), n_train,
        n_test, origin, audit (`split`: trained here on train only; `said`: what it was learned from is said, and those
        photos do not count; `not_said`), promoted, answers (whether it predicts its target here), problem (why it
        cannot predict here; NULL: it can), created_at.
    """
    rows = store.database.frame("from runs order by created_at desc, run_id").to_dicts()
    if target is not None:
        name = _target_of_runs(target, {row["target"] for row in rows})
        rows = [row for row in rows if row["target"] == name]
    found = []
    answering = _answering(store, {row["target"] for row in rows})
    for row in in_order([unpacked(row) for row in rows]):
        problem = _problem(store, row)
        found.append(_listed(row) | {"answers": row["run_id"] in answering, "problem": problem and problem.why})
    types = {"string": pl.String, "number": pl.Float64, "count": pl.Int64, "flag": pl.Boolean}
    schema: dict[str, Any] = {name: types[kind] for name, kind in _KINDS.items()}
    schema |= {"problem": pl.String, "created_at": pl.Datetime("us")}
    return pl.DataFrame([{name: row[name] for name in schema} for row in found], schema=schema)


def show_run(store: Store, run: str) -> dict[str, Any]:
    """Return everything about one run.

    Args:
        store: the open store.
        run: id, name or beginning of the id.

    Returns:
        The columns of `list_runs`; `remedy` beside `problem`; `hyperparameters` and `results` as in `runs`, with
        `coverage` and `audit` of a run of predictions; `samples`, the digest of the data, and `encoder_digests`;
        `predictions`, the number of them by split; `files`, path -> bytes; `needed_by`, the runs that stand on the
        network which this one fine-tuned.

    Raises:
        InputError: there is no such run.
    """
    row = _found(store, run)
    run_id, problem = row["run_id"], _problem(store, row)
    counts = store.database.rows(
        "select coalesce(split, 'none'), count(*) from predictions where run_id = $1 group by all order by all",
        [run_id],
    )
    trained: dict[str, Any] = {"samples": None, "encoder_digests": {}, "n_dev": None, "dim": None}
    try:
        described = run_store.described(store.layout, run_id)
        trained = {name: getattr(described, name) for name in trained}
    except PhotogenicError:
        pass  # predictions from elsewhere, or the folder is gone: `problem` says so
    return {
        **_listed(row),
        "answers": run_id in _answering(store, {row["target"]}),
        "problem": problem and problem.why,
        "remedy": problem and problem.remedy,
        "created_at": row["created_at"],
        **trained,
        "predictions": dict(counts),
        "needed_by": _standing_on(store, run_id),
        "files": {str(path): path.stat().st_size for path in _files(store, run_id)},
        "hyperparameters": row["hyperparameters"],
        "results": row["results"],
    }


def promote_run(store: Store, run: str, *, force: bool = False) -> Candidate:
    """Make a run the one that predicts its target, until another one is promoted.

    Args:
        store: the open store.
        run: id, name or beginning of the id.
        force: whether to promote a run that cannot predict on this machine.

    Raises:
        InputError: there is no such run, or it has no weights.
        StoreError: it cannot predict here.
    """
    row = _found(store, run)
    candidate, problem = _candidate(row), _problem(store, row)
    if not candidate.has_weights:
        remedy = f"features runs list --target {candidate.target}"
        raise without_weights(candidate.run_id, candidate.head, remedy)
    if problem is not None and not force:
        raise StoreError(
            f"Run {candidate.run_id} ({candidate.encoder} {candidate.head}) cannot predict here: {problem.why}",
            "a run that can predict; with --force it is promoted for other machines",
            problem.remedy,
        )
    if not candidate.promoted:
        _set_promoted(store, candidate.target, candidate.run_id)
    return candidate


def demote_run(store: Store, target: str) -> str | None:
    """Let the best run on dev predict a target again; return the run that was promoted, or None."""
    name = _target_of_runs(target, {known for (known,) in store.database.rows("select distinct target from runs")})
    rows = store.database.rows("select run_id from runs where target = $1 and promoted", [name])
    if rows:
        _set_promoted(store, name, None)
    return str(rows[0][0]) if rows else None


def remove_run(store: Store, run: str, *, force: bool = False) -> Removed:
    """Remove a run: its weights, its rows of `runs` and `predictions`, and a network that it fine-tuned.

    Args:
        store: the open store.
        run: id, name or beginning of the id.
        force: whether to remove the promoted run too.

    Raises:
        InputError: there is no such run, it is promoted, or other runs stand on the network that it fine-tuned.
        LockedError: another process writes.
    """
    layout = store.layout
    run_id = run if _is_left_over(store, run) else find_run(layout, store.database.frame, run)
    with store.database.lock("features runs remove"):
        standing, rows = _standing_on(store, run_id), _promoted_as(store, run_id)
        if standing:
            raise InputError(
                f"{len(standing)} runs stand on the network that run {run_id} fine-tuned: {', '.join(standing[:5])}.",
                "a run that no other run needs",
                f"features runs remove {standing[0]}, and then the others",
            )
        if rows and not force:
            raise InputError(
                f"Run {run_id} is promoted for {rows[0]}.",
                "a run that is not promoted",
                f"features runs demote {rows[0]}, or features runs remove {run_id} --force",
            )
        files = _files(store, run_id)
        n_bytes = sum(path.stat().st_size for path in files)
        # Without its manifests a run is not finished, so that no training publishes what a killed removal left.
        for name in ("manifest.json", "encoder.json"):
            (layout.models / run_id / name).unlink(missing_ok=True)
        n_predictions = _delete_rows(store, run_id)
        for folder in _folders(store, run_id):
            shutil.rmtree(folder, ignore_errors=True)
    return Removed(run_id, n_predictions, len(files), n_bytes, bool(rows))


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a list from an unpacked row of `runs`."""
    told = row | dict(zip(("low", "high"), row["interval"], strict=True))
    return {name: told[name] for name in (*_KINDS, "created_at") if name != "answers"}


def _found(store: Store, run: str) -> dict[str, Any]:
    """Return the unpacked row of `runs` of the run with this id, name or beginning of the id.

    Raises:
        InputError: there is no such run, or it is not in `runs` yet.
    """
    run_id = find_run(store.layout, store.database.frame, run)
    rows = store.database.frame("from runs where run_id = $run", {"run": run_id}).to_dicts()
    if rows:
        return unpacked(rows[0])
    raise InputError(
        f"Run {run_id} is trained, and is not in the relation `runs` yet: training ended before it published it.",
        "a run in `runs`",
        "the same features train again: it keeps the run, and publishes it",
    )


def _target_of_runs(name: str, known: set[str]) -> str:
    """Return a target that has runs, or one of the program.

    Raises:
        InputError: there is no such target.
    """
    return name if name in known else target_named(name, known).name


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(**{name: row[name] for name in Candidate.__slots__})


def _problem(store: Store, row: dict[str, Any]) -> LeftOut | None:
    return problem_here(store.layout, _candidate(row), _fits(store), promoted=True)


def _fits(store: Store) -> Callable[[Run], None]:
    return partial(check_encoders, faces=FaceSettings(), models=store.layout.models)


def _answering(store: Store, targets: set[str]) -> set[str]:
    """Return the runs that predict these targets here, with those for photos without a face."""
    found = set[str]()
    for name in sorted(targets):
        try:
            choice = choose(store.layout, store.database.frame, name, fits=_fits(store))
        except PhotogenicError:
            continue  # each run says why it cannot predict
        found |= {one.run_id for one in (choice.run, choice.fallback) if one is not None}
    return found


def _set_promoted(store: Store, target: str, run_id: str | None) -> None:
    """Write which run is promoted for a target."""
    what = "demote" if run_id is None else "promote"
    with (
        store.database.write(f"features runs {what}") as con,
        store.progress.stage(f"{what} {target}", 1, "runs") as advance,
    ):
        con.begin()
        con.execute("delete from facts.promoted_runs where target = $1", [target])
        if run_id is not None:
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            con.execute("insert into facts.promoted_runs values ($1, $2, $3)", [target, run_id, now])
            if store.database.history is not None:
                store.database.history.count(f"promote {target}", {run_id: 1})
        con.commit()
        advance(1)


def _delete_rows(store: Store, run_id: str) -> int:
    """Delete the rows of a run; return the number of its predictions."""
    with store.database.write("features runs remove") as con:
        con.begin()
        [(n,)] = con.execute("delete from facts.predictions where run_id = $1", [run_id]).fetchall()
        con.execute("delete from facts.runs where run_id = $1", [run_id])
        con.execute("delete from facts.promoted_runs where run_id = $1", [run_id])
        for encoder in _own_encoders(store, run_id):
            for table in ("embeddings", "neighbours", "neighbour_sets"):
                con.execute(f"delete from facts.{table} where encoder = $1", [encoder])
        con.commit()
    return int(n)


def _promoted_as(store: Store, run_id: str) -> list[str]:
    """Return the targets for which a run is promoted."""
    rows = store.database.rows("select target from runs where run_id = $1 and promoted", [run_id])
    return [target for (target,) in rows]


def _standing_on(store: Store, run_id: str) -> list[str]:
    """Return the other runs whose encoder is the network that a run fine-tuned."""
    rows = store.database.rows("select run_id, encoder from runs where run_id <> $1 order by run_id", [run_id])
    published = [name for name, encoder in rows if run_id in _bases(encoder)]
    unpublished = []
    for name in run_store.folders(store.layout):
        if name != run_id and name not in {other for other, _ in rows}:
            try:
                if run_id in _bases(run_store.described(store.layout, name).encoder):
                    unpublished.append(name)
            except PhotogenicError:
                continue  # a damaged run needs nothing
    return published + unpublished


def _bases(encoder: str) -> set[str | None]:
    """Return the runs that fine-tuned the networks of an encoder `a+b`."""
    return {run_of(part) for part in encoder.split("+")}


def _own_encoders(store: Store, run_id: str) -> list[str]:
    """Return the networks of a run of which the store has vectors."""
    return [name for base in TUNABLE if store.layout.embeddings(name := f"{base}@{run_id}").is_dir()]


def _folders(store: Store, run_id: str) -> list[Path]:
    """Return the folders of a run: its own, and vectors and index of the network that it fine-tuned."""
    layout, own = store.layout, _own_encoders(store, run_id)
    vectors = [path for name in own for path in (layout.embeddings(name), layout.index(name))]
    return [path for path in (*vectors, layout.models / run_id) if path.is_dir()]


def _files(store: Store, run_id: str) -> Sequence[Path]:
    return sorted(path for folder in _folders(store, run_id) for path in folder.rglob("*") if path.is_file())


def _is_left_over(store: Store, text: str) -> bool:
    """Whether a text is the id of a run whose removal was killed after its rows were deleted."""
    return (
        run_store.is_id(text)
        and (store.layout.models / text).is_dir()
        and not run_store.finished(store.layout, text)
        and not store.database.rows("select 1 from runs where run_id = $1", [text])
        and text != "taste"
    )

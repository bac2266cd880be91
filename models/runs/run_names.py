"""Find a run by what a user types: its id, its name, or the beginning of its id.

    1. id       the whole run_id
    2. name     the name of a run of the user's own; the newest of that name
    3. prefix   the beginning of one run_id, at least 3 characters

The rule is the same wherever a run is named: `--run`, Python, the API and the pages.
"""

from __future__ import annotations

from photogenic.models.runs import run_store
from photogenic.models.runs.run_selection import Ask
from photogenic.warehouse import InputError, Layout

__all__ = ["find_run", "runnable", "without_weights"]

_SHORTEST, _MOST = 3, 12

_FOUND = """
select run_id, name, origin, created_at
from runs
where run_id = $text or name = $text or starts_with(run_id, $text)
order by created_at desc, run_id
"""


def find_run(layout: Layout, ask: Ask, text: str) -> str:
    """Return the id of the run that `text` names.

    A trained head whose rows are not published yet is found by its folder.

    Raises:
        InputError: no run has that id or name, or several ids begin so.
    """
    rows = ask(_FOUND, {"text": text}).to_dicts() if text else []
    for row in rows:
        if row["run_id"] == text:
            return text
    if text and run_store.is_finished(layout, text):
        return text
    for row in rows:
        if row["name"] == text:
            return str(row["run_id"])
    begin: list[str] = [row["run_id"] for row in rows] if len(text) >= _SHORTEST else []
    begin += [name for name in run_store.folders(layout) if len(text) >= _SHORTEST and name.startswith(text)]
    found = list(dict.fromkeys(begin))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} runs begin with {text[:80]!r}: {_listed(found)}.",
            "the beginning of one run_id, or a name",
            f"--run {found[0]}",
        )
    rows = ask("select coalesce(name, run_id) as name from runs order by created_at desc, run_id", {}).to_dicts()
    known = list(dict.fromkeys([*(row["name"] for row in rows), *run_store.folders(layout)]))
    raise InputError(
        f"There is no run {text[:80]!r}.",
        f"the id, the name or the beginning of the id of a run: {_listed(known)}"
        if known
        else "a finished run; there are none yet",
        "features runs list" if known else "features train",
    )


def runnable(layout: Layout, ask: Ask, text: str) -> str:
    """Return the id of the run that `text` names, of a run that can predict new pictures.

    Raises:
        InputError: there is no such run, or it holds predictions only.
    """
    if run_store.is_finished(layout, text):
        return text  # it has a folder, so it has weights; the snapshot need not be asked
    run_id = find_run(layout, ask, text)
    rows = ask("select origin, head, target from runs where run_id = $run", {"run": run_id}).to_dicts()
    if rows and rows[0]["origin"] == run_store.INGESTED:
        raise without_weights(
            run_id,
            rows[0]["head"],
            f'features predict FILE --target {rows[0]["target"]}; its own predictions: features sql "from predictions '
            f"where run_id = '{run_id}'\"",
        )
    return run_id


def without_weights(run_id: str, head: str, remedy: str) -> InputError:
    """Return the error of a run of predictions that is to predict new pictures."""
    return InputError(
        f"Run {run_id} ({head}) holds predictions that were made elsewhere, and no weights: it cannot predict new "
        "pictures.",
        "a trained run",
        remedy,
    )


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:_MOST])}{', ...' if names[_MOST:] else ''}"

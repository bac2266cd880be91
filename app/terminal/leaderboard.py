"""Print tables 1 to 3: results of this store with intervals, beside the published figures."""

from __future__ import annotations

from collections.abc import Sequence

from photogenic.app.terminal.output import Format, Table, print_table
from photogenic.models.evaluation.comparison import HeadComparison
from photogenic.models.evaluation.gender_table import Pair
from photogenic.models.evaluation.leaderboard import Cell, Figure, InputImportances, Leaderboard
from photogenic.models.evaluation.leaderboard import Table as Ranking
from photogenic.models.runs.run_store import INGESTED

__all__ = ["print_leaderboard"]

SETUPS = {"all": "ALL", "one_face": "1BBOX"}
"""Setup -> its name in the papers, used as a column heading."""


def print_leaderboard(board: Leaderboard, pairs: Sequence[Pair], form: Format) -> None:
    """Print tables 1 to 3; as CSV or JSON, print one row per run.

    Args:
        board: Leaderboard that `train` returns.
        pairs: Rows of `gender_table`. If empty, table 1 is left out.
        form: Output format.
    """
    if form != "table":
        print_table(Table.of(board.frame), form)
        return
    if pairs:
        _print_breakdown(pairs)
    for table in board.tables:
        _print_figures(table)
        if any(cell is not None and cell.r2 is not None for row in table.rows for cell in row.cells):
            _print_explained(table)
    for found in board.comparisons:
        _print_comparison(found)
    for added in board.importances:
        _print_importances(added)
    _print_slices(board)


def _print_breakdown(pairs: Sequence[Pair]) -> None:
    rows = [
        (p.sender, p.recipient, p.n_recipients, p.n_swipes, p.like_ratio, _between(p.low, p.high), p.mean, p.published)
        for p in pairs
    ]
    columns = ("sender", "recipient", "recipients", "swipes", "like ratio", "95 %", "mean of recipients", "printed")
    print_table(Table(columns, rows), title="Table 1. Like ratio by the genders of sender and recipient, newest photos")
    print()


def _print_figures(table: Ranking) -> None:
    """Print table 2 or 3: one row per encoder and head, columns by setup; published figures if there are any."""
    is_published = any(figure is not None for row in table.rows for figure in row.published)
    rows = []
    for row in table.rows:
        ours = [part for cell in row.cells for part in _parts(cell)]
        rows.append((row.encoder, row.head, *ours, *(row.published if is_published else ())))
    names = [name for setup in SETUPS.values() for name in (setup, "95 %", "n")]
    printed = [f"{setup} printed" for setup in SETUPS.values() if is_published]
    print_table(Table(("encoder", "head", *names, *printed), rows), title=table.title)
    for setup, floor in zip(SETUPS.values(), table.floor, strict=True):
        if floor is not None:
            print(f"{setup}: {floor:.4f} is the noise of the labels, the lowest error that a head can reach.")
    for remark in table.remarks:
        print(remark)
    print()


def _print_explained(table: Ranking) -> None:
    """Print the explained variance and the rank correlation of the same heads, for the setups that were trained.

    The share of the explicable variance is left out where the noise of the labels is unknown.
    """
    places = [place for place in range(len(SETUPS)) if any(row.cells[place] is not None for row in table.rows)]
    with_noise = any(cell is not None and cell.explained is not None for row in table.rows for cell in row.cells)
    rows = []
    for row in table.rows:
        cells = [row.cells[place] for place in places]
        if any(cell is not None and cell.r2 is not None for cell in cells):
            rows.append((row.encoder, row.head, *(part for cell in cells for part in _explained(cell, with_noise))))
    setups = [list(SETUPS.values())[place] for place in places]
    explicable = ["of explicable"] if with_noise else []
    names = [
        name
        for setup in setups
        for name in (f"{setup} R2", "95 %", *explicable, f"{setup} rank correlation", "95 %", "n")
    ]
    shares = "share of variance explained" + (", share of explicable variance explained" if with_noise else "")
    print_table(Table(("encoder", "head", *names), rows), title=f"The same heads: {shares}, Spearman")
    print()


def _print_comparison(found: HeadComparison) -> None:
    """Compare the best head on dev with all others, on the test photos."""
    if len(found.comparisons) < 2:
        return
    winner = found.winner
    rows = [
        (
            rival.encoder,
            rival.head,
            rival.n_photos,
            rival.own,
            rival.other,
            rival.ratio[0],
            _between(*rival.ratio[1:]),
            rival.verdict,
        )
        for rival in found.comparisons
    ]
    columns = ("against", "head", "photos", "its figure", "theirs", "error / theirs", "95 %", "surely")
    chosen = f"{winner.encoder} {winner.head}"
    said = chosen if winner.encoder == INGESTED else f"dev prefers {chosen}"
    title = f"{found.target}, {SETUPS[found.setup]}: {said}. On test, pairwise"
    print_table(Table(columns, rows), title=title)
    print()


def _print_importances(found: InputImportances) -> None:
    """Print how much the error of the best head on dev grows if the values of one input are shuffled."""
    rows = [
        (
            f"the whole vector ({one.input})" if one.kind == "vector" else one.input,
            one.growth,
            _between(one.low, one.high),
            one.n_photos,
        )
        for one in found.inputs
    ]
    title = (
        f"{found.target}, {SETUPS[found.setup]}, {found.reads} {found.head}: what each input adds. Growth of the "
        f"{found.error} on test, {found.baseline:.4g}, if its values are shuffled"
    )
    print_table(Table(("input", "growth", "95 %", "n"), rows), title=title)
    print()


def _print_slices(board: Leaderboard) -> None:
    """Print the error of the winning heads by group of people, and warn of groups with a much larger error."""
    winners = {found.winner.run_id for found in board.comparisons}
    rows = [
        (
            run.target,
            SETUPS[run.setup],
            slice_.column,
            slice_.value,
            slice_.n_photos,
            slice_.error[0],
            _between(*slice_.error[1:]),
            slice_.bias[0],
            _between(*slice_.bias[1:]),
            slice_.spearman[0],
            _between(*slice_.spearman[1:]),
        )
        for run, slice_ in board.slices
        if run.run_id in winners
    ]
    if rows:
        columns = ("target", "setup", "slice", "is", "photos", "error", "95 %", "bias", "95 %", "Spearman", "95 %")
        print_table(Table(columns, rows), title="Winning heads by group of people. Bias: prediction minus label")
        print()
    for run, slice_ in board.slices:
        if slice_.warning:
            print(
                f"Warning: {run.target} {SETUPS[run.setup]} {run.encoder} {run.head} has {slice_.ratio[0]:.1f} x "
                f"(95 % {_between(*slice_.ratio[1:])}) the error of all others where {slice_.column} is {slice_.value} "
                f"({slice_.n_photos} photos)."
            )


def _parts(cell: Cell | None) -> tuple[float | None, str | None, int | None]:
    return (None, None, None) if cell is None else (cell.value, _between(cell.low, cell.high), cell.n)


def _explained(cell: Cell | None, with_noise: bool) -> tuple[object, ...]:
    if cell is None:
        return (None,) * (6 if with_noise else 5)
    explained = [None if cell.explained is None else cell.explained.value] if with_noise else []
    return *_figure(cell.r2), *explained, *_figure(cell.spearman), cell.n


def _figure(figure: Figure | None) -> tuple[float | None, str | None]:
    return (None, None) if figure is None else (figure.value, _between(figure.low, figure.high))


def _between(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:.4f} to {high:.4f}"

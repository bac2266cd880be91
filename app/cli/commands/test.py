"""features test: the literal examples of a project's relations."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal import streams
from photogenic.app.terminal.cells import message
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from photogenic.warehouse.definitions.examples.differences import Difference
    from photogenic.warehouse.definitions.examples.run import ExampleResult

__all__ = ["run"]

_SHOWN = 20
"""Rows of each kind of difference that a table shows; CSV and JSON have all."""


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RELATION",
            autocompletion=completion.project_relations,
            help="Relations to test. Default: all that have examples.",
        ),
    ] = None,
    *,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Examples are in relations/NAME.examples.toml of the project. No store is needed.

    If an example fails, or the file of a relation cannot be used, the exit code is 4.
    """
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        results = opened.test_relations(names or ())
        project = opened.store.project
    failed = [one for one in results if one.status != "passed"]
    with streams.unread_is_fine() if failed else contextlib.nullcontext():
        _print(results, failed, form)
    tested = {one.relation for one in results}
    if project is not None and tested and (without := sorted({*(names or project.relations)} - tested)):
        print_message(f"Without examples: {', '.join(without)}.")
    if not results:
        lacking = f"{', '.join(names)}: no" if names else "No relation has"
        print_message(f"{lacking} examples. Expected: files relations/NAME.examples.toml in the project.")
    if failed:
        print_message(f"{len(failed)} of {len(results)} examples failed.")
        raise typer.Exit(4)


def _print(results: Sequence[ExampleResult], failed: Sequence[ExampleResult], form: Format) -> None:
    if form != "table":
        print_table(Table.of_records([one.record() for one in results]), form)
        return
    if results:
        rows = [(one.relation, one.example, one.status, round(one.seconds, 3)) for one in results]
        print_table(Table(("relation", "example", "status", "seconds"), rows))
    for one in failed:
        print()
        _say(f"{one.relation}: {one.example} ({one.where})")
        if one.error is not None:
            for line in one.error.splitlines():
                _say(f"  {line}")
        if one.difference is not None:
            _print_difference(one.difference)


def _print_difference(found: Difference) -> None:
    for title, rows in (("expected, and not there:", found.missing), ("there, and not expected:", found.extra)):
        if rows:
            _say(f"  {len(rows)} {title}")
            for row in rows[:_SHOWN]:
                _say(f"    {_row(dict(zip(found.columns, row, strict=True)))}")
            _print_rest(len(rows))
    if found.changed:
        _say(f"  {len(found.changed)} with other values:")
        for one in found.changed[:_SHOWN]:
            values = [f"{name} is {_value(b)}, expected {_value(a)}" for name, (a, b) in one.values.items()]
            _say(f"    {_row(one.key)}: {'; '.join(values)}")
        _print_rest(len(found.changed))


def _say(line: str) -> None:
    """Print one line of data; control characters are escaped."""
    print(message(line))


def _print_rest(n: int) -> None:
    if n > _SHOWN:
        _say(f"    and {n - _SHOWN:,} more")


def _row(values: dict[str, object]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    """Return a value as an example writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        plain = (
            value and value == value.strip() and value.upper() != "NULL" and value.isprintable() and "|" not in value
        )
        return value if plain and not value.startswith(("'", "[")) else repr(value)
    return str(value)

"""SQL prompt with history, completion from the snapshot, a pager, and a row limit.

A statement ends with `;` and may span lines. Ctrl-C cancels the query or clears the line; Ctrl-D leaves the prompt.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from photogenic.app.terminal.catalog import Catalog, list_columns, list_relations, relations_of, shown
from photogenic.app.terminal.export_rows import count_rows, export
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.pager import Screen
from photogenic.app.terminal.sql_completion import COMMANDS, SqlCompleter
from photogenic.app.terminal.sql_parameters import read_value
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.parameters import Available
from photogenic.warehouse.duckdb_store.query import stream
from photogenic.warehouse.errors import PhotogenicError

__all__ = ["prompt"]

HELP = r"""End a statement with ; to run it. Ctrl-C cancels, Tab completes.
\d                list the relations and what their rows are (also .tables)
\d NAME           list the columns of a relation
.show NAME        print the contract and the SQL of a relation
.export FILE      write all rows of the last query to a .csv, .json or .parquet file
\x                switch between tables and one value per line
\set NAME VALUE   give the parameter $NAME of queries a value; without NAME, list them
\unset NAME       take the value away
help              print this help (also \h, \?, .help)
exit              leave (also quit, \q, .quit, Ctrl-D)"""

_WORDS = {"exit": "quit", "quit": "quit", "help": "help"}
"""Words that are commands without a sign."""

_SHORT = {"q": "quit", "exit": "quit", "h": "help", "?": "help"}

_COUNTED_S = 0.2
"""Seconds within which the rows beyond the limit are counted."""


def prompt(
    db: Database,
    *,
    limit: int,
    parameters: Mapping[str, Any] | None = None,
    history: History | None = None,
    **terminal: Any,
) -> None:
    """Read and run statements until the user leaves; print at most `limit` rows of each result.

    Args:
        db: Database of the store.
        limit: Largest number of rows to print of one result.
        parameters: Values of parameters of the statements by name.
        history: History of statements. Default: a file in the user's state folder.
        terminal: `input` and `output` of prompt_toolkit, for tests.
    """
    session: PromptSession[str] = PromptSession(
        history=history or _history(),
        completer=SqlCompleter(Catalog.of(db)),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        multiline=Condition(lambda: not _is_complete(session.default_buffer.text)),
        prompt_continuation=lambda width, *_: " " * (width - 2) + "| ",
        **terminal,
    )
    print_message("SQL on the published snapshot; help shows the commands, exit leaves.")
    shell = _Shell(db, limit, Available(parameters or {}))
    while True:
        try:
            text = session.prompt("features> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            if shell.respond(text):
                return
        except PhotogenicError as error:
            print_message(str(error))
        except KeyboardInterrupt:
            print_message("Cancelled.")


class _Shell:
    """What the prompt remembers from one input to the next."""

    def __init__(self, db: Database, limit: int, parameters: Available) -> None:
        self._db, self._limit, self._parameters = db, limit, parameters
        self._last, self._last_parameters, self._records = "", parameters, False

    def respond(self, text: str) -> bool:
        """Run one input, a statement or a command. Return whether the user leaves."""
        command = _command(text)
        if command is None:
            if text:
                self._run(text)
            return False
        name, argument = command
        match name:
            case "quit":
                return True
            case "help":
                print_message(HELP)
            case "d" | "tables":
                one = name == "d" and argument
                self._print(list_columns(self._db, argument) if one else list_relations(relations_of(self._db)))
            case "show":
                print(shown(argument, self._db), flush=True)
            case "x":
                self._records = not self._records
                print_message("One value per line." if self._records else "Tables.")
            case "set":
                self._set(argument)
            case "unset":
                self._unset(argument)
            case "export" if self._last and argument:
                path = Path(argument).expanduser()
                with stream(self._db, self._last, self._last_parameters) as cursor:
                    print_message(f"{export(cursor, path):,} rows are in {path}.")
            case "export":
                print_message(
                    ".export FILE"
                    if self._last
                    else ".export FILE writes the rows of the last query; there is none yet."
                )
            case _:
                print_message(f"{text.split(maxsplit=1)[0]} is not a command; help lists the commands.")
        return False

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        name = name.removeprefix("$")
        if not name:
            self._print(
                Table(("parameter", "value"), [(f"${name}", value) for name, value in self._parameters.items()])
            )
        elif not re.fullmatch(r"\w+", name) or not value.strip():
            print_message(r"\set NAME VALUE: a name of letters, digits and _, and a value")
        else:
            found = read_value(name, value.strip())
            self._remove(name)
            self._parameters[name] = found

    def _unset(self, argument: str) -> None:
        name = argument.removeprefix("$")
        if not name:
            print_message(r"\unset NAME")
        elif not self._remove(name):
            print_message(f"The parameter ${name} has no value.")

    def _remove(self, name: str) -> bool:
        """Remove a parameter; names are the same in upper and lower case. Return whether it had a value."""
        same = [former for former in self._parameters if former.lower() == name.lower()]
        for former in same:
            del self._parameters[former]
        return bool(same)

    def _run(self, query: str) -> None:
        with stream(self._db, query, self._parameters, limit=self._limit + 1) as cursor:
            rows = cursor.rows()
            table = Table(cursor.columns, list(itertools.islice(rows, self._limit)))
            n_left, is_exact = count_rows(rows, _COUNTED_S)
        self._last, self._last_parameters = query, Available(self._parameters)
        self._print(table)
        if n_left:
            # A PIVOT is not computed beyond the first row that is left out.
            left = "the rest is" if n_left == 1 else f"{'' if is_exact else 'more than '}{n_left:,} are"
            print_message(f"Cut at {self._limit:,} rows; {left} left out. .export FILE writes all of them.")

    def _print(self, table: Table) -> None:
        screen = Screen(sys.stdout)
        print_table(table, file=screen, records=self._records)
        screen.show()


def _command(text: str) -> tuple[str, str] | None:
    r"""Return the name and the argument of a command: `\d photos`, `.show photos`, `exit;`; None: a statement."""
    words = text.rstrip("; \n")
    if (name := _WORDS.get(words.lower())) is not None:
        return name, ""
    if not words.startswith((".", "\\")):
        return None
    name, _, argument = words[1:].partition(" ")
    return _SHORT.get(name, name if name in COMMANDS else ""), argument.strip()


def _is_complete(text: str) -> bool:
    text = text.strip()
    return not text or text.endswith(";") or _command(text) is not None


def _history() -> History:
    folder = Path(platformdirs.user_state_dir("photogenic", appauthor=False, ensure_exists=True))
    return FileHistory(str(folder / "sql_history"))

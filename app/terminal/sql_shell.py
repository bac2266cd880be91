"""SQL prompt with history, completion from the snapshot, and a row limit.

A statement ends with `;` and may span lines. Ctrl-C cancels the query or clears the line; Ctrl-D leaves the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from photogenic.app.terminal.catalog import Catalog, list_relations, relation_sql
from photogenic.app.terminal.export_rows import export, first_rows
from photogenic.app.terminal.output import print_message, print_table
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.query import stream
from photogenic.warehouse.errors import PhotogenicError

__all__ = ["SqlCompleter", "prompt"]

HELP = """\
End a statement with ; to run it. Ctrl-C cancels, Ctrl-D leaves.
.tables          list the relations and what their rows are
.show RELATION   print the contract and the SQL of a relation
.export FILE     write all rows of the last query to a .csv, .json or .parquet file
.help            print this help
.quit            leave"""

_WORD = re.compile(r"[.\w]+$")


class SqlCompleter(Completer):
    """Completion of the columns of the relations in the statement, then of relations, then of keywords."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        """Yield the names that begin with the word before the cursor."""
        before = document.text_before_cursor
        match = _WORD.search(before)
        word = match[0] if match else ""
        for name, kind in self._candidates(document.text, before, word):
            if name.lower().startswith(word.lower()) and name != word:
                yield Completion(name, start_position=-len(word), display_meta=kind)

    def _candidates(self, text: str, before: str, word: str) -> Iterable[tuple[str, str]]:
        relations = self._catalog.columns
        if before.startswith("."):
            if before.startswith(".show "):
                return [(name, "relation") for name in relations]
            return [(line.split()[0], "command") for line in HELP.splitlines()[1:]]
        if not word:
            return []
        if "." in word:
            owner = word.partition(".")[0]
            return [(f"{owner}.{column}", owner) for column in relations.get(owner, ())]
        named = [name for name in relations if re.search(rf"\b{name}\b", text)]
        columns = {column: name for name in named or relations for column in relations[name]}
        return [
            *sorted(columns.items()),
            *((name, "relation") for name in relations),
            *((name, "keyword") for name in self._catalog.keywords),
        ]


def prompt(db: Database, *, limit: int, history: History | None = None, **terminal: Any) -> None:
    """Read and run statements until the user leaves; print at most `limit` rows of each result.

    Args:
        db: Database of the store.
        limit: Largest number of rows to print of one result.
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
    print_message("SQL on the published snapshot; .help shows the commands.")
    last = ""
    while True:
        try:
            text = session.prompt("features> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text in {".quit", ".exit"}:
            return
        try:
            last = _respond(db, text, last, limit)
        except PhotogenicError as error:
            print_message(str(error))
        except KeyboardInterrupt:
            print_message("Cancelled.")


def _respond(db: Database, text: str, last: str, limit: int) -> str:
    """Run one line of input; return the query whose rows `.export` writes."""
    word, _, argument = text.partition(" ")
    argument = argument.strip().rstrip(";")
    match word:
        case "":
            pass
        case ".help":
            print_message(HELP)
        case ".tables":
            print_table(list_relations())
        case ".show":
            print(relation_sql(argument), flush=True)
        case ".export" if last and argument:
            path = Path(argument).expanduser()
            with stream(db, last) as cursor:
                print_message(f"{export(cursor, path):,} rows are in {path}.")
        case ".export":
            print_message(
                ".export FILE writes the rows of the last query; there is none yet." if not last else ".export FILE"
            )
        case _ if word.startswith("."):
            print_message(f"{word} is not a command; .help lists the commands.")
        case _:
            with stream(db, text, limit=limit + 1) as cursor:
                table, cut = first_rows(cursor, limit)
            print_table(table)
            if cut:
                print_message(f"Cut at {limit:,} rows; .export FILE writes all of them.")
            return text
    return last


def _is_complete(text: str) -> bool:
    text = text.strip()
    return not text or text.startswith(".") or text.endswith(";")


def _history() -> History:
    folder = Path(platformdirs.user_state_dir("photogenic", appauthor=False, ensure_exists=True))
    return FileHistory(str(folder / "sql_history"))

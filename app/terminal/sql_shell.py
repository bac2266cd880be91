"""The SQL prompt: history, completion from the snapshot, and results that say when they were cut.

A statement ends with `;` and may span lines. Ctrl-C cancels the query or clears the line, Ctrl-D leaves.
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

from photogenic.app.terminal.catalog import Catalogue, contents, definition
from photogenic.app.terminal.export_rows import export, first_rows
from photogenic.app.terminal.output import say, show
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.query import stream
from photogenic.warehouse.errors import PhotogenicError

__all__ = ["SqlCompleter", "prompt"]

HELP = """\
End a statement with ; to run it. Ctrl-C cancels, Ctrl-D leaves.
.tables          the relations, and what a row of each is
.show RELATION   what a relation is, and the SQL that computes it
.export FILE     all rows of the last query, as .csv, .json or .parquet
.help            this
.quit            leave"""

_WORD = re.compile(r"[.\w]+$")


class SqlCompleter(Completer):
    """Offers columns of the relations that the statement names, then relations, then keywords."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        """The names that begin as the word before the cursor does."""
        before = document.text_before_cursor
        match = _WORD.search(before)
        word = match[0] if match else ""
        for name, kind in self._candidates(document.text, before, word):
            if name.lower().startswith(word.lower()) and name != word:
                yield Completion(name, start_position=-len(word), display_meta=kind)

    def _candidates(self, text: str, before: str, word: str) -> Iterable[tuple[str, str]]:
        relations = self._catalogue.columns
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
            *((name, "keyword") for name in self._catalogue.keywords),
        ]


def prompt(db: Database, *, limit: int, history: History | None = None, **terminal: Any) -> None:
    """Read statements until the person leaves; print at most `limit` rows of each answer.

    Args:
        db: the store.
        limit: rows shown of one answer.
        history: where former statements are kept; None: a file in the user's state folder.
        terminal: `input` and `output` of prompt_toolkit, for tests.
    """
    session: PromptSession[str] = PromptSession(
        history=history or _history(),
        completer=SqlCompleter(Catalogue.of(db)),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        multiline=Condition(lambda: not _is_complete(session.default_buffer.text)),
        prompt_continuation=lambda width, *_: " " * (width - 2) + "| ",
        **terminal,
    )
    say("SQL on the published snapshot; .help shows the commands.")
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
            say(str(error))
        except KeyboardInterrupt:
            say("Cancelled.")


def _respond(db: Database, text: str, last: str, limit: int) -> str:
    """Answer one line of the person; returns the query that `.export` would write."""
    word, _, argument = text.partition(" ")
    argument = argument.strip().rstrip(";")
    match word:
        case "":
            pass
        case ".help":
            say(HELP)
        case ".tables":
            show(contents())
        case ".show":
            print(definition(argument), flush=True)
        case ".export" if last and argument:
            path = Path(argument).expanduser()
            with stream(db, last) as cursor:
                say(f"{export(cursor, path):,} rows are in {path}.")
        case ".export":
            say(".export FILE writes the rows of the last query; there is none yet." if not last else ".export FILE")
        case _ if word.startswith("."):
            say(f"{word} is no command here; .help shows them.")
        case _:
            with stream(db, text, limit=limit + 1) as cursor:
                table, cut = first_rows(cursor, limit)
            show(table)
            if cut:
                say(f"Cut at {limit:,} rows; .export FILE writes all of them.")
            return text
    return last


def _is_complete(text: str) -> bool:
    text = text.strip()
    return not text or text.startswith(".") or text.endswith(";")


def _history() -> History:
    folder = Path(platformdirs.user_state_dir("photogenic", appauthor=False, ensure_exists=True))
    return FileHistory(str(folder / "sql_history"))

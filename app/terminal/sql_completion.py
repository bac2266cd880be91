"""Completion at the SQL prompt: columns, relations, keywords, functions, and the commands of the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from photogenic.app.terminal.catalog import Catalog

__all__ = ["COMMANDS", "SqlCompleter"]

COMMANDS = ("d", "tables", "show", "export", "x", "set", "unset", "help", "quit")
"""Commands of the prompt, after a backslash or a dot."""

_WORD = re.compile(r"[.\w]+$")
_RELATION_NEXT = re.compile(r"\b(?:from|join|describe|summarize)\s+[\w.]*$", re.IGNORECASE)
_ALIAS = re.compile(r"\b(\w+)\s+(?:as\s+)?(\w+)\b", re.IGNORECASE)
_SKIPPED = re.compile(r"'(?:[^']|'')*'|--[^\n]*")

Candidate = tuple[str, str]


class SqlCompleter(Completer):
    """Completion of columns, then of relations, keywords and functions.

    Before FROM is written, the columns of all relations are offered, with their relations as a hint; afterwards those
    of the relations in the statement.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        """Yield the names that begin with the word before the cursor."""
        before = document.text_before_cursor
        match = _WORD.search(before)
        word = match[0] if match else ""
        for name, hint in self._candidates(document.text, before, word):
            if name.lower().startswith(word.lower()) and name != word:
                yield Completion(name, start_position=-len(word), display_meta=hint)

    def _candidates(self, text: str, before: str, word: str) -> Iterable[Candidate]:
        relations = self._catalog.columns
        if before.startswith((".", "\\")):
            return self._of_command(before)
        if not word or _is_in_text(before):
            return []
        if _RELATION_NEXT.search(before):
            return _relations(relations)
        if "." in word:
            return self._after_dot(text, word)
        named = self._named(text)
        return [
            *self._columns(named or relations),
            *_relations(relations),
            *((name, "keyword") for name in self._catalog.keywords),
            *((f"{name}(", "function") for name in self._catalog.functions),
        ]

    def _of_command(self, before: str) -> Iterable[Candidate]:
        sign, rest = before[0], before[1:]
        command, space, _ = rest.partition(" ")
        if not space:
            # The dot is part of the word that is completed, the backslash is not.
            return [(f"{sign if sign == '.' else ''}{name}", "command") for name in COMMANDS]
        return _relations(self._catalog.columns) if command in ("show", "d") else []

    def _after_dot(self, text: str, word: str) -> Iterable[Candidate]:
        """Return the columns of a relation or an alias; of an alias whose relation is not written yet, all."""
        owner = word.rpartition(".")[0]
        relations = self._catalog.columns
        aliases = {alias.lower(): name for name, alias in _ALIAS.findall(text) if name in relations}
        relation = owner if owner in relations else aliases.get(owner.lower())
        found = [relation] if relation else self._named(text) or list(relations)
        return [(f"{owner}.{column}", hint) for column, hint in self._columns(found)]

    def _named(self, text: str) -> list[str]:
        """Return the relations that a statement names."""
        words = set(re.findall(r"\w+", _SKIPPED.sub("", text)))
        return [name for name in self._catalog.columns if name in words]

    def _columns(self, relations: Iterable[str]) -> list[Candidate]:
        owners: dict[str, list[str]] = {}
        for name in relations:
            for column in self._catalog.columns[name]:
                owners.setdefault(column, []).append(name)
        return [(column, _hint(names)) for column, names in sorted(owners.items())]


def _is_in_text(before: str) -> bool:
    """Return whether the cursor is in a text or a comment."""
    *_, line = _SKIPPED.sub(" ", f"{before}\0").split("\n")
    return not line.endswith("\0") or "'" in _SKIPPED.sub(" ", before)


def _relations(relations: Iterable[str]) -> list[Candidate]:
    return [(name, "relation") for name in relations]


def _hint(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more

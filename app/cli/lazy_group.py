"""The program, and each word that commands stand below: a group that imports the module of a command when asked."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from photogenic.app.cli import help_text
from photogenic.app.cli.checked_command import Checked
from photogenic.app.cli.command_table import GROUPS, Entry, below
from photogenic.app.cli.examples import epilog
from photogenic.app.terminal import logs

__all__ = ["LazyGroup"]


class _Commands(Mapping[str, Any]):
    """Commands by name; each is made when it is looked up."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(self._entries[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class LazyGroup(TyperGroup):
    """The commands of the table below one name, for the program itself those below no name."""

    def __init__(self, *, above: str = "", **settings: Any) -> None:
        settings |= {"rich_markup_mode": None, "commands": None}
        super().__init__(**settings)
        self.above = above
        self.entries = below(above)
        self.commands = _Commands(self.entries)  # type: ignore[assignment]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Record the name of the command, for logs and the relation `commands`."""
        name, command, rest = super().resolve_command(ctx, args)
        if not self.above:
            further = rest[:1] if rest and rest[0] in getattr(command, "commands", ()) else []
            logs.set_command(" ".join([name or "", *further]))
        return name, command, rest

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete names of commands from the table, by stand-ins that need no module."""
        made = self.commands
        self.commands = {name: TyperCommand(name, short_help=entry.summary) for name, entry in self.entries.items()}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = made

    def format_help(self, ctx: Any, formatter: Any) -> None:
        help_text.write_help(self, ctx, formatter, self.listed())

    def listed(self) -> list[help_text.Section]:
        """Return the names and summaries of the commands, for the program in groups."""
        if self.above:
            return [help_text.Section("Commands", [(name, entry.summary) for name, entry in self.entries.items()])]
        return [
            help_text.Section(
                group, [(name, entry.summary) for name, entry in self.entries.items() if entry.group == group]
            )
            for group in GROUPS
        ]


def _make(entry: Entry) -> Any:
    """Make the command of an entry; its module is imported, and the docstring of its function ends the help."""
    settings = {"name": entry.name.split()[-1], "epilog": epilog(entry.name)}
    if not entry.module:
        return LazyGroup(above=entry.name, help=entry.summary, no_args_is_help=True, **settings)
    function = getattr(importlib.import_module(f"photogenic.app.cli.commands.{entry.module}"), entry.function)
    text = f"{entry.summary}\n\n{inspect.getdoc(function) or ''}"
    from photogenic.app.cli.commands.options import common

    command = _command(function, cls=Checked, help=text.strip(), **settings)
    command.params += _command(common).params
    return command


def _command(function: Callable[..., None], **settings: Any) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(**settings)(function)
    return get_command(alone)

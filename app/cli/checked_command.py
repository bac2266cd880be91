"""The class of every command: numbers are checked before any work, former option names still work, one form of help."""

from __future__ import annotations

import copy
from typing import Any

from typer.core import TyperCommand

from photogenic.app.cli import help_text
from photogenic.warehouse.option_ranges import check

__all__ = ["FORMER", "FORMER_NEGATIVE", "Checked"]

FORMER = {"force": "--anew", "index_memory": "--memory"}
"""By parameter: the name that its option had before. It is taken, and shown in no help."""

FORMER_NEGATIVE = {"by_time": "--no-by-time", "allow_private": "--no-allow-private"}
"""By flag that is off by default: the former option that repeats the default. It is taken, and shown in no help."""


class Checked(TyperCommand):
    """A command that refuses numbers outside `warehouse.option_ranges.RANGES`; the class of every command."""

    def invoke(self, ctx: Any) -> Any:
        check(**ctx.params)
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return help_text.usage_pieces(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        help_text.write_help(self, ctx, formatter)

    def make_parser(self, ctx: Any) -> Any:
        """Add the former names of options, hidden from help."""
        parser = super().make_parser(ctx)
        for option in self.params:
            names = [[former[option.name]] if option.name in former else [] for former in (FORMER, FORMER_NEGATIVE)]
            if any(names):
                hidden: Any = copy.copy(option)
                hidden.opts, hidden.secondary_opts = names
                hidden.add_to_parser(parser, ctx)
        return parser

"""The class of every command: settings and numbers are checked before any work, former names of options still work.

`photogenic.toml` is read here, once for the program: it gives the folder of the store and the limits of a night where
the command line and the environment do not. Options of a build are put together by `FeatureStore.build`.
"""

from __future__ import annotations

import copy
from typing import Any

from typer.core import TyperCommand

from photogenic.app.cli import help_text
from photogenic.config.file import load_config, name_on_command_line
from photogenic.warehouse.duckdb_store.settings import check_environment
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.processes.threads import limit_library_threads

__all__ = ["FORMER", "FORMER_NEGATIVE", "Checked"]

FORMER = {"force": "--anew", "index_memory": "--memory"}
"""By parameter: the name that its option had before. It is taken, and shown in no help."""

FORMER_NEGATIVE = {"by_time": "--no-by-time", "allow_private": "--no-allow-private"}
"""By flag that is off by default: the former option that repeats the default. It is taken, and shown in no help."""


class Checked(TyperCommand):
    """A command that refuses numbers outside `warehouse.option_ranges.RANGES`; the class of every command."""

    def invoke(self, ctx: Any) -> Any:
        self._apply_settings(ctx)
        # An option that takes a text may have the name of a number elsewhere, such as --version.
        check(**{name: value for name, value in ctx.params.items() if not isinstance(value, str)})
        return super().invoke(ctx)

    def _apply_settings(self, ctx: Any) -> None:
        """Read `photogenic.toml` and the environment; the values of the command line stay."""
        named = {name: ctx.params.pop(name, None) for name in ("config", "project")}
        name_on_command_line(**{name: _typed(ctx, name, path) for name, path in named.items()})
        config = load_config(store=None if _source(ctx, "store") == "DEFAULT" else ctx.params["store"])
        limit_library_threads(check_environment(config.settings).threads)
        below = {name: str(value) for name, value in config.checks.items()} | {"store": config.store}
        for option in self.params:
            if (
                option.name in ctx.params
                and below.get(option.name) is not None
                and _source(ctx, option.name) == "DEFAULT"
                and not (option.name == "store" and option.default is None)
            ):
                ctx.params[option.name] = option.process_value(ctx, below[option.name])

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


def _typed(ctx: Any, name: str, value: Any) -> Any:
    """Return the value of an option that is on the command line, else None."""
    return value if _source(ctx, name) == "COMMANDLINE" else None


def _source(ctx: Any, name: str) -> str:
    """Return what gives the value of an option: COMMANDLINE, ENVIRONMENT or DEFAULT."""
    source = ctx.get_parameter_source(name)
    return "DEFAULT" if source is None else str(source.name)

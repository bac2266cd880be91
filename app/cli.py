"""The program `features`: its commands, and what it does with an error.

Exit codes: 0 done, 1 an error of ours (one message, no traceback), 2 a wrong command line,
130 interrupted. An exception that is none of ours is a bug and shows its traceback.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands import (
    build,
    crawl,
    demo,
    doctor,
    encoders,
    fetch,
    ingest,
    predict,
    report,
    serve,
    similar,
    sql,
    status,
    train,
    weights,
)
from warehouse.errors import PhotogenicError

__all__ = ["main", "program"]

ORDER = (
    "demo",
    "ingest",
    "login",
    "tokens",
    "crawl",
    "fetch",
    "build",
    "sql",
    "similar",
    "train",
    "predict",
    "report",
    "serve",
    "status",
    "doctor",
    "encoders",
    "weights",
)


class _InOrder(TyperGroup):
    """Lists the commands in the order in which one uses them, plainly: loading rich takes longer than all else."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.rich_markup_mode = None

    def list_commands(self, ctx: Any) -> list[str]:
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Wrapped where the terminal ends, not cut."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(200)) for name, command in commands.items() if command]
            )


program = typer.Typer(
    name="features",
    cls=_InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"photogenic {version('photogenic')}")
        raise typer.Exit


@program.callback()
def features(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Popularity of photos: labels from swipes, vectors from pictures, and SQL over both."""


program.command("demo")(demo.run)
program.add_typer(ingest.commands, name="ingest")
program.command("login")(crawl.login)
program.command("tokens")(crawl.tokens)
program.add_typer(crawl.commands, name="crawl")
program.command("fetch")(fetch.run)
program.command("build")(build.run)
program.command("sql")(sql.run)
program.command("similar")(similar.run)
program.command("train")(train.run)
program.command("predict")(predict.run)
program.command("report")(report.run)
program.command("serve")(serve.run)
program.command("status")(status.run)
program.command("doctor")(doctor.run)
program.command("encoders")(encoders.run)
program.add_typer(weights.commands, name="weights")


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    try:
        program()
    except PhotogenicError as error:
        print(error, file=sys.stderr)
        sys.exit(1)

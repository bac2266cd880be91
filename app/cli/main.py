"""The program `features`: its commands and the handling of errors.

Exit codes: 0 done, 1 a PhotogenicError (one message, no traceback), 2 a wrong command line, 130 interrupted, 141 the
reader of stdout closed it, 143 ended by SIGTERM. Any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from photogenic.app.cli.checked_command import Checked
from photogenic.app.cli.commands import (
    backup,
    build,
    crawl,
    crop,
    demo,
    doctor,
    encoders,
    erase,
    export,
    fetch,
    finetune,
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
from photogenic.app.cli.examples import epilog
from photogenic.app.cli.termination import EXIT, MESSAGE, Ending
from photogenic.app.terminal import logs, streams
from photogenic.warehouse.duckdb_store.error_mapping import classify_unhandled
from photogenic.warehouse.duckdb_store.settings import check_environment
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.processes.threads import limit_library_threads

__all__ = ["main", "program"]

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "demo": demo.run,
    "ingest": ingest.commands,
    "login": crawl.login,
    "tokens": crawl.tokens,
    "crawl": crawl.commands,
    "fetch": fetch.run,
    "build": build.run,
    "export": export.run,
    "sql": sql.run,
    "similar": similar.run,
    "train": train.run,
    "finetune": finetune.run,
    "predict": predict.run,
    "crop": crop.run,
    "report": report.run,
    "serve": serve.run,
    "status": status.run,
    "doctor": doctor.run,
    "erase": erase.run,
    "backup": backup.backup,
    "restore": backup.restore,
    "encoders": encoders.run,
    "weights": weights.commands,
}
"""Every command, in the order in which help lists them."""


class _InOrder(TyperGroup):
    """Lists the commands in their order of use, without rich, whose loading takes longer than the rest of the help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.rich_markup_mode = None

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Record the name of the command, for logs and the relation `commands`."""
        name, command, rest = super().resolve_command(ctx, args)
        below = rest[:1] if rest and rest[0] in getattr(command, "commands", ()) else []
        logs.set_command(" ".join([name or "", *below]))
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Wrap descriptions at the width of the terminal instead of cutting them off."""
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
    version: Annotated[  # noqa: ARG001 - its callback ends the program
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    log_format: Annotated[
        logs.LogFormat,
        typer.Option(
            envvar="FEATURES_LOG_FORMAT", help="Format of standard error: text, or json for one object per line."
        ),
    ] = "text",
) -> None:
    """Popularity of photos: labels from swipes, embeddings of pictures, and SQL over both."""
    logs.begin(log_format)
    limit_library_threads(check_environment().threads)


for _name, _command in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        program.add_typer(_command, name=_name)
    else:
        program.command(_name, cls=Checked, epilog=epilog(_name))(_command)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    streams.begin()
    code: object = 1
    ending, is_over = Ending(), False
    try:
        try:
            program()
        finally:
            streams.flush()
    except SystemExit as ended:
        is_over = True
        if ending.received and ended.code not in (0, None):
            code = EXIT
            print(MESSAGE, file=sys.stderr)
            sys.exit(EXIT)
        code = ended.code
        if code == streams.BROKEN_PIPE:
            streams.discard()
        raise
    except Exception as error:
        found = error if isinstance(error, PhotogenicError) else classify_unhandled(error)
        if found is None:
            raise
        _tell(found)
        streams.discard()
        sys.exit(1)
    finally:
        if (log := logs.structured()) is not None:
            log.end(code)
        if is_over and logs.current_command() == "serve":
            # Everything is closed. At the interpreter's own end DuckDB's client would print what it calls leaks.
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 0)


def _tell(error: PhotogenicError) -> None:
    log = logs.structured()
    if log is None:
        print(error, file=sys.stderr)
    else:
        log.fail(error)

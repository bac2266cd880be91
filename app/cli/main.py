"""The program `features`: its commands and the handling of errors.

Exit codes: 0 done, 1 a PhotogenicError (one message, no traceback), 2 a wrong command line or a conflict, 3 too much
was refused or too little came (`--max-refused`, `--least-rows`), 4 a check failed (`status --check`), 130
interrupted, 141 the reader of stdout closed it, 143 ended by SIGTERM (`features serve`: 0). Any other exception is a
bug and shows its traceback.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from photogenic.app.cli.examples import epilog
from photogenic.app.cli.lazy_group import LazyGroup
from photogenic.app.cli.termination import EXIT, INTERRUPTED, MESSAGE, Ending
from photogenic.app.terminal import logs, streams
from photogenic.app.terminal.cells import message
from photogenic.warehouse.duckdb_store.error_mapping import classify_unhandled
from photogenic.warehouse.duckdb_store.interrupt import is_interrupt
from photogenic.warehouse.errors import PhotogenicError

__all__ = ["main", "program"]

program = typer.Typer(
    name="features",
    cls=LazyGroup,
    epilog=epilog(""),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
"""The program; `typer.main.get_command(program)` gives the tree of all commands."""


def _version(asked: bool) -> None:
    if asked:
        import platform
        from importlib.metadata import version

        from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION

        print(
            f"photogenic {version('photogenic')} (store schema {SCHEMA_VERSION}, Python {platform.python_version()}, "
            f"{sys.platform} {platform.machine()})"
        )
        raise typer.Exit


@program.callback()
def features(
    version: Annotated[  # noqa: ARG001 - its callback ends the program
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the versions of the program, of its store format and of Python, and exit.",
        ),
    ] = False,
    log_format: Annotated[
        logs.LogFormat,
        typer.Option(
            envvar="FEATURES_LOG_FORMAT",
            metavar="text|json",
            help="Format of messages on standard error: text, or json for one object per line.",
        ),
    ] = "text",
) -> None:
    """Feature store for the popularity of photos: labels from swipes, embeddings of pictures, and SQL over both."""
    logs.begin(log_format)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    streams.begin()
    code: object = 1
    ending = Ending()
    try:
        try:
            if "COMP_WORDS" in os.environ and "_FEATURES_COMPLETE" in os.environ:
                from photogenic.app.cli.completion import separate_values

                separate_values(os.environ)
            program()
        finally:
            streams.flush()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            ending.say_stop()
        if ending.received and ended.code not in (0, None):
            code = EXIT
            print(MESSAGE, file=sys.stderr)
            sys.exit(EXIT)
        code = ended.code
        if code == streams.BROKEN_PIPE:
            streams.discard()
        raise
    except KeyboardInterrupt:
        ending.say_stop()
        code = EXIT if ending.received else INTERRUPTED
        sys.exit(code)
    except Exception as error:
        # A library that does not expect a KeyboardInterrupt, as during an import, may make another error of it.
        if is_interrupt(error) or (ending.is_stopping and not isinstance(error, PhotogenicError)):
            ending.say_stop()
            if ending.received:
                print(MESSAGE, file=sys.stderr)
            code = EXIT if ending.received else INTERRUPTED
            sys.exit(code)
        found = error if isinstance(error, PhotogenicError) else classify_unhandled(error)
        if found is None:
            raise
        _tell(found)
        streams.discard()
        code = found.exit_code
        sys.exit(code)
    finally:
        if (log := logs.structured()) is not None:
            log.end(code)
        ending.code = code if isinstance(code, int) else 0 if code is None else None


def _tell(error: PhotogenicError) -> None:
    log = logs.structured()
    if log is None:
        print(message(str(error)), file=sys.stderr)
    else:
        log.fail(error)

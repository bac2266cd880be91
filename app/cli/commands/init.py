"""features init: a project folder for relations and features of one's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import FormatOption
from photogenic.app.cli.help_text import COMMON
from photogenic.app.terminal.output import Table, print_message, print_table

__all__ = ["run"]


def run(
    folder: Annotated[str, typer.Argument(metavar="NAME", help="Folder of the project; it is made if it is missing.")],
    *,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            envvar="FEATURES_STORE",
            metavar="FOLDER",
            rich_help_panel=COMMON,
            help="Folder of the store that a new project works on. Default: ./store if it is there, else store in the "
            "project.",
        ),
    ] = None,
    form: FormatOption = "table",
) -> None:
    """No file is changed. A project that is there gets the folders that it lacks, and its features.py may run."""
    done = FeatureStore.init_project(folder, store=store)
    rows = [(name, "made") for name in done.made] + [(name, "kept") for name in done.kept]
    print_table(Table(("file", "state"), rows), form)
    print_message(f"{done.folder.absolute()} is the project {done.name}. Its store is {done.store.resolve()}.")
    if not done.may_run:
        print_message(f"Its features.py runs only with --project {done.folder}: {done.why_not}")
    steps = [] if done.folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(done.folder))}"]
    steps += [] if (done.store / "snapshot.duckdb").exists() else ["features demo"]
    steps += ["features test", "features build", "features sql 'from own_relations'"]
    print_message("Next:\n" + "\n".join(f"  {step}" for step in steps))

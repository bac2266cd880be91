"""features backup and features restore: a copy of the store in another place, and back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.warehouse.errors import InputError

__all__ = ["backup", "restore"]

Folder = Annotated[
    str,
    typer.Argument(metavar="FOLDER", help="Folder of the backup, or its address: s3://BUCKET/FOLDER, gs://, az://."),
]


def backup(
    folder: Folder,
    *,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Verify every byte of the earlier backup too, and copy damaged files again."),
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Only new files are copied. Exit code 1 if files of the store are damaged."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        made = opened.backup(folder, thorough=thorough)
    columns = ("n_files", "n_bytes", "n_copied", "bytes_copied", "n_removed", "n_left_out", "seconds")
    row = (made.n_files, made.n_bytes, made.n_copied, made.bytes_copied, made.n_removed, len(made.left_out))
    print_table(Table(columns, [(*row, round(made.seconds, 1))]), form)
    if made.left_out:
        print_message(_left_out(made.left_out, "in this store, and not in the backup"))
        print_message(f"Expected: every file as it was written\nTry: features doctor --thorough --store {store}")
        raise typer.Exit(1)


def restore(
    folder: Folder,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the store that is in the folder of --store.")
    ] = False,
    tombstones: Annotated[
        Path | None,
        typer.Option(
            "--tombstones",
            metavar="FOLDER",
            help="Folder of a store whose erased users are not restored either. Default: the store that is replaced.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation before a store is replaced.")] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Every byte is verified before any file is put in place."""
    if replace and not yes:
        if not sys.stdin.isatty():
            raise InputError("Nobody is here to be asked, and nothing was replaced.", "--yes", "--replace --yes")
        typer.confirm(f"Give up what {store} holds?", abort=True, err=True)
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        made = opened.restore(folder, replace=replace, tombstones=tombstones)
    n_erased = sum(len(receipt.people) for receipt in made.erased)
    columns = ("made_at", "n_files", "n_bytes", "n_adopted", "n_erased", "n_left_out", "seconds")
    row = (made.made_at, made.n_files, made.n_bytes, made.n_adopted, n_erased, len(made.left_out))
    print_table(Table(columns, [(*row, round(made.seconds, 1))]), form)
    if n_erased:
        print_message(f"{n_erased} people who had been erased since the backup was made were erased again.")
    if n_purged := sum(len(receipt.photos) for receipt in made.erased):
        print_message(f"{n_purged} photos that had been purged since the backup was made were purged again.")
    if made.left_out:
        print_message(_left_out(made.left_out, "when the backup was made"))


def _left_out(files: list[str], when: str) -> str:
    return f"{len(files)} files were damaged or missing {when}: " + "; ".join(files[:5])

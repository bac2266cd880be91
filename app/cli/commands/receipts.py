"""What commands that remove something share: the question before, and the receipts of erased people and photos."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from photogenic.app.terminal.output import Format, Table, print_table
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from photogenic.maintenance.erase.journal import Receipt

__all__ = ["confirm", "print_receipts"]


def confirm(question: str, *, yes: bool, remedy: str) -> None:
    """Ask, unless `yes`.

    Raises:
        InputError: nobody is at the terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("Nobody is here to be asked, and nothing was removed.", "--yes", remedy)
    typer.confirm(question, abort=True, err=True)


def print_receipts(receipts: Sequence[Receipt], form: Format) -> None:
    """Print the receipts of an erase or a purge."""
    if form == "table":
        for receipt in receipts:
            _print(receipt)
    else:
        print_table(Table.of_records([asdict(receipt) for receipt in receipts]), form)


def _print(receipt: Receipt) -> None:
    print_table(Table(("removed from", "n"), [*receipt.counts.items()]))
    if receipt.runs:
        rows = [(run, n, "removed" if run in receipt.runs_removed else "kept") for run, n in receipt.runs.items()]
        print()
        what = "purged photos" if receipt.photos else "erased people"
        print_table(Table(("run", f"{what} it learned from", "weights"), rows))
    looked = receipt.looked_at
    done = f"Purged {len(receipt.photos)} photos" if receipt.photos else f"Erased {len(receipt.people)} people"
    print(f"\n{done}, receipt {receipt.erase_id}.")
    found = "Nothing" if not receipt.left else "Nothing else"
    for column, n in receipt.left.items():
        print(f"Left: {n} rows of others whose {column} contains an erased id as a word; the texts belong to others.")
    print(
        f"{found} of them was found in any relation, {looked['parquet_files']} Parquet files, {looked['indices']} "
        f"indices, and the bytes of {looked['files']} files."
    )
    if any(place.startswith("training_sets/") for place in receipt.counts):
        print("Copies that features training-set export wrote are outside of the store: remove these rows there too.")
    print("Exports are outside of the store: run features export again, which replaces them.")
    if n := looked["ids_sought_in_columns_only"]:
        print(f"Among bytes {n} ids were not sought: they are short, or part of others' ids.")

"""features erase: removes people from everything, with a receipt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.cli.commands.receipts import confirm, print_receipts
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    user_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="USER_ID",
            autocompletion=completion.users,
            help="Ids of the users to erase. Default: finish an erase that was interrupted.",
        ),
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. What is erased cannot be restored.")
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Rows, pictures, embeddings, search indices and heads are cleared of them."""
    n_people = len(user_ids or ())
    whom = {0: "the people of the interrupted erase", 1: "this person"}.get(n_people, f"these {n_people:,} people")
    confirm(f"Erase {whom} for good?", yes=yes, remedy="features erase USER_ID --yes")
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        receipts = opened.erase(user_ids or [])
    print_receipts(receipts, form)

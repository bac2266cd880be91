"""features train: train heads on embeddings and print the leaderboard beside the published figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import print_message
from photogenic.app.terminal.progress import console_progress
from photogenic.models.options import TrainOptions
from photogenic.warehouse import StoreError

if TYPE_CHECKING:
    from photogenic.models.evaluation.gender_table import Pair

__all__ = ["run"]


@options_from_dataclass(TrainOptions)
def run(*, options: TrainOptions, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """Heads that are trained already are not trained again."""
    from photogenic.app.terminal.leaderboard import print_leaderboard
    from photogenic.models.data.targets import is_column

    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        board = opened.train(options)
        about_likes = any(not is_column(table.target) for table in board.tables)
        pairs = _table_1(opened) if form == "table" and about_likes else []
    print_leaderboard(board, pairs, form)
    print_message(f"Trained {board.n_trained:,} {'head' if board.n_trained == 1 else 'heads'}.")


def _table_1(store: photogenic.FeatureStore) -> "list[Pair]":
    """Return the rows of table 1; none, with a message, if an older version computed what it reads."""
    from photogenic.models.evaluation.gender_table import gender_table

    try:
        return gender_table(store.database)
    except StoreError as error:
        print_message(f"Table 1 is left out. {error.what} Try: {error.remedy}")
        return []

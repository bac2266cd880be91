"""features train: train heads on embeddings and print the leaderboard beside the published figures."""

from pathlib import Path

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import print_message
from photogenic.app.terminal.progress import console_progress
from photogenic.models.options import TrainOptions

__all__ = ["run"]


@options_from_dataclass(TrainOptions)
def run(*, options: TrainOptions, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """Heads that are trained already are not trained again."""
    from photogenic.app.terminal.leaderboard import print_leaderboard
    from photogenic.models.evaluation.gender_table import gender_table

    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        board = opened.train(options)
        pairs = gender_table(opened.database) if form == "table" else []
    print_leaderboard(board, pairs, form)
    print_message(f"Trained {board.n_trained:,} heads.")

"""features finetune: train a network on the photos; the result is an encoder."""

from pathlib import Path

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import print_message
from photogenic.app.terminal.progress import console_progress
from photogenic.models.options import FinetuneOptions

__all__ = ["run"]


@options_from_dataclass(FinetuneOptions)
def run(*, options: FinetuneOptions, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """The trained network is an encoder too. An interrupted run continues where it stopped when it is run again."""
    from photogenic.app.terminal.leaderboard import print_leaderboard

    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        board = opened.finetune(options)
    print_leaderboard(board, [], form)
    name = board.frame.filter(head="finetuned").sort("created_at", descending=True)["encoder"][0]
    print_message(f"Encoder {name}: features train --encoder {name}, features similar FILE --encoder {name}.")

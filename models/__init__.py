"""models: what popularity do we predict?

In: photos with labels, weights and splits, and the vectors that features made of them. Out: trained
heads in models/<run_id>/, rows of `runs` and `predictions`, a leaderboard laid out as the published
tables, and scores for files that nobody has seen. Read next by app, which prints and draws them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.breakdown import Pair, gender_table
    from models.cropping import Cropped, crop
    from models.descent import Schedule
    from models.finetuning import finetune
    from models.fitting import Grid
    from models.ranking import Leaderboard, leaderboard
    from models.scoring import Scored, predict
    from models.training import train

__all__ = [
    "Cropped",
    "Grid",
    "Leaderboard",
    "Pair",
    "Schedule",
    "Scored",
    "crop",
    "finetune",
    "gender_table",
    "leaderboard",
    "predict",
    "train",
]

_HOMES = {
    "Cropped": "cropping",
    "Grid": "fitting",
    "Leaderboard": "ranking",
    "Pair": "breakdown",
    "Schedule": "descent",
    "Scored": "scoring",
    "crop": "cropping",
    "finetune": "finetuning",
    "gender_table": "breakdown",
    "leaderboard": "ranking",
    "predict": "scoring",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Names load on first use: `import models` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"models.{_HOMES[name]}"), name)

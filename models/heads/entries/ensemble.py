"""`ensemble`: the mean of the other heads asked for; models/ensemble.py makes it from their runs."""

from __future__ import annotations

from photogenic.models.heads.base import Head
from photogenic.models.heads.kinds import ENSEMBLE
from photogenic.models.heads.registry import register_head

__all__ = ["Ensemble"]


@register_head("ensemble")
class Ensemble(Head):
    """Ensemble of other heads, which is not fitted itself."""

    summary = "the mean of all other heads asked for"
    kind = ENSEMBLE
    place = 40
    made_of_others = True

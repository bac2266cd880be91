"""features encoders: the networks that can look at photos."""

from __future__ import annotations

from pathlib import Path

from app.commands.options import FormatOption, Store
from app.output import Table, say, show
from features import FeatureStore

__all__ = ["run"]


def run(*, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """The networks that turn photos into vectors, those fine-tuned in the store too, and whether weights are here."""
    from features.encoders import encoders

    with FeatureStore(store):
        rows = [(e.name, e.input, e.size, e.dim, e.metric, e.available, e.licence, e.source) for e in encoders()]
    show(Table(("encoder", "input", "pixels", "dim", "metric", "available", "licence", "source"), rows), form)
    if form == "table":
        say("timm:NAME is any image model of timm (timm:resnet50.a1_in1k); without its weights: features weights list")

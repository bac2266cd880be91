"""features encoders: the networks that can look at photos."""

from __future__ import annotations

from app.commands.options import FormatOption
from app.output import Table, say, show

__all__ = ["run"]


def run(*, form: FormatOption = "table") -> None:
    """The networks that turn photos into vectors, and whether their weights are here."""
    from features import ENCODERS

    rows = [(e.name, e.input, e.size, e.dim, e.metric, e.available, e.licence, e.source) for e in ENCODERS.values()]
    show(Table(("encoder", "input", "pixels", "dim", "metric", "available", "licence", "source"), rows), form)
    if form == "table":
        say("timm:NAME is any image model of timm (timm:resnet50.a1_in1k); without its weights: features weights list")

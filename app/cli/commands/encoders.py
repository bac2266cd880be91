"""features encoders: the networks that turn photos into embeddings."""

from pathlib import Path

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(*, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """The list shows which networks have their weights on this machine."""
    from photogenic.features.encoders.weights import refusal

    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        known = opened.encoders()
        rows = [
            (e.name, e.input, e.text is not None, e.size, e.dim, e.metric, e.available, e.licence, e.source)
            for e in known
        ]
    columns = ("encoder", "input", "text", "pixels", "dim", "metric", "available", "licence", "source")
    print_table(Table(columns, rows), form)
    files = {entry.name: entry for entry in (e.backbone.weights for e in known) if entry is not None}
    for error in filter(None, map(refusal, files.values())):
        print_message(str(error))
    for name, own in {e.backbone.weights.name: e.own_weights for e in known if e.backbone.weights}.items():
        if own is not None:
            print_message(f"Weights of your own stand in for the published {name}: SHA-256 {own}.")
    if form == "table":
        print_message(
            "timm:NAME is any image model of timm (timm:resnet50.a1_in1k); without its weights: features weights list\n"
            "openclip:NAME is a CLIP model, also of your own, for features similar --text"
        )

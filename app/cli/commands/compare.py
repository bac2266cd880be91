"""features compare: what changing the encoder would move."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import AsOf, FormatOption, KnownAt, Store
from photogenic.app.terminal.output import print_message
from photogenic.app.terminal.progress import console_progress
from photogenic.features.compare.options import CompareOptions

__all__ = ["run"]

_ENCODER = "Name of an encoder that the store has embeddings of."


@options_from_dataclass(CompareOptions)
def run(
    encoder_a: Annotated[
        str, typer.Argument(metavar="ENCODER_A", autocompletion=completion.stored_encoders, help=_ENCODER)
    ],
    encoder_b: Annotated[
        str, typer.Argument(metavar="ENCODER_B", autocompletion=completion.stored_encoders, help=_ENCODER)
    ],
    *,
    options: CompareOptions,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="HTML file to write, with the photos whose neighbors differ most. Default: no file.",
        ),
    ] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Neighbors are searched exactly, among the photos that both have embeddings of. Nothing is trained or changed. CSV
    prints one part, which --only names.
    """
    from photogenic.app.terminal.results.encoder_comparison import print_comparison

    if form == "csv" and options.only is None:
        raise typer.BadParameter(
            "--format csv prints one table: name it with --only photos, overlap, moved, heads or cost"
        )
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.compare_encoders(encoder_a, encoder_b, options, as_of=as_of, known_at=known_at, output=output)
    print_comparison(found, options.only, form)
    if output is not None:
        print_message(f"Written: {output}")

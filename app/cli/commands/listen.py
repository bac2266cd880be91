"""features listen: events of a topic of Kafka into the store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.mapping_options import Columns, MappingFile, Units, Values, mapping_of_options
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.streams.options import ListenOptions

__all__ = ["run"]

_COLUMNS = ("source", "kind", "n_batches", "n_read", "n_new", "n_corrected", "n_retracted", "n_known", "n_refused")


@options_from_dataclass(ListenOptions)
def run(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Address of the topic: kafka://HOST:PORT/TOPIC.")],
    *,
    kind: Annotated[
        Literal["users", "photos", "main-photos", "swipes"],
        typer.Option(
            metavar="KIND", help="Kind of the events: users, photos, main-photos or swipes.", show_default=False
        ),
    ],
    columns: Columns = None,
    values: Values = None,
    units: Units = None,
    mapping: MappingFile = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For photos: folder from which relative paths of pictures start. Default: the working folder.",
        ),
    ] = None,
    options: ListenOptions,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Messages are JSON objects or Avro records, one event each. Ctrl-C and SIGTERM end it after the open batch."""
    ours = kind.replace("-", "_")
    read_as = mapping_of_options(ours, mapping, columns, values, units)  # type: ignore[arg-type]
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        report = opened.listen(uri, ours, options, images=images, mapping=read_as)  # type: ignore[arg-type]
    facts = asdict(report) | {"n_refused": report.n_refused}
    print_table(Table(_COLUMNS, [[facts[name] for name in _COLUMNS]]), form)
    for reason, n in sorted(report.refused.items()):
        print_message(f"Refused {reason}: {n:,}; `select * from rejects` has them.")
    if report.signal is not None:
        print_message("Ended by a signal. The next start continues here.")
        raise typer.Exit(128 + report.signal)

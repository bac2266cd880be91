"""Options of `features listen`, which are also those of `FeatureStore.listen`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

__all__ = ["ListenOptions"]


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How a topic is read, and how its events are written."""

    start: Annotated[
        str,
        Help(
            "Where the first start begins: earliest, latest, or a time (ISO 8601, UTC) from which messages were sent. "
            "Later starts continue where the store stands.",
            metavar="TIME",
            option="from",
        ),
    ] = "earliest"
    until_end: Annotated[
        bool, Help("Stop once the messages that were there at the start are read, as for a scheduled run.")
    ] = False
    start_over: Annotated[
        bool,
        Help("Forget how far the topic was read, and begin at --from. Events that the store has are not added twice."),
    ] = False
    schema: Annotated[
        Sequence[str],
        Help(
            "Avro schema of the messages, a JSON file; or ID=FILE for messages with the 5-byte header of a schema "
            "registry, for each id. Default: messages are JSON, or Avro files of one record.",
            metavar="ID=FILE",
        ),
    ] = ()
    client_config: Annotated[
        Path | None,
        Help("File with properties of the Kafka client, such as those of SASL and TLS. Default: none.", metavar="FILE"),
    ] = None
    batch_rows: Annotated[int, Help("Largest number of messages that are written together.")] = 200_000
    batch_bytes: Annotated[int, Help("Size of messages after which they are written.", is_size=True)] = 64_000_000
    batch_seconds: Annotated[float, Help("Time after which messages are written, in seconds.")] = 5.0
    publish_seconds: Annotated[float, Help("Time after which written events are published to readers, in seconds.")] = (
        30.0
    )

    def __post_init__(self) -> None:
        check(
            batch_rows=self.batch_rows,
            batch_bytes=self.batch_bytes,
            batch_seconds=self.batch_seconds,
            publish_seconds=self.publish_seconds,
        )

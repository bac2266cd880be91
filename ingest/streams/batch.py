"""Messages that are written together."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from photogenic.ingest.readers.input_files import InputFile, Spool
from photogenic.ingest.readers.message_records import write_messages
from photogenic.ingest.sources.positions import Position
from photogenic.ingest.streams.avro import MAGIC, AvroError, Decoder
from photogenic.ingest.streams.topic import Message
from photogenic.ingest.tabular.schemas import Reason

__all__ = ["Batch"]


class Batch:
    """Messages in the order in which they came.

    Args:
        decoder: decoder of Avro; None: messages are JSON, or Avro files.

    Attributes:
        next: offset after the last message of each partition.
        size: size of the messages in bytes.
        since: when the first one came, on the clock of `time.monotonic`.
    """

    def __init__(self, decoder: Decoder | None) -> None:
        self.next: dict[int, int] = {}
        self.size, self.since = 0, 0.0
        self._decoder = decoder
        self._values: list[bytes | None] = []
        self._parts: list[int] = []
        self._offsets: list[int] = []
        self._broken: dict[int, Reason] = {}

    def __len__(self) -> int:
        return len(self._values)

    def add(self, messages: Iterable[Message]) -> None:
        """Add messages."""
        for message in messages:
            if not self._values:
                self.since = time.monotonic()
            value = message.value
            self.size += len(value) if value is not None else 0
            if value is not None and (self._decoder is not None or value.startswith(MAGIC)):
                value = self._decoded(value)
            self._values.append(value)
            self._parts.append(message.part)
            self._offsets.append(message.offset)
            self.next[message.part] = message.offset + 1

    def write(self, spool: Spool, name: str, positions: tuple[Position, ...], *, is_lenient: bool) -> InputFile:
        """Write the messages into a file of the spool, and return it."""
        file, path = spool.file(name)
        write_messages(file, self._values, self._parts, self._offsets, self._broken)
        return InputFile(
            *(path, name, Path()), is_stream=True, positions=positions, is_messages=True, is_lenient=is_lenient
        )

    def _decoded(self, value: bytes) -> bytes:
        if self._decoder is None:
            self._decoder = Decoder()
        try:
            return self._decoder.decode(value)
        except AvroError:
            self._broken[len(self._values)] = "bad_avro"
            return value

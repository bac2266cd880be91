"""The messages of a stream as records: a file of Arrow that lies in the store's folder for temporary files.

It has a row per message: `line` (from 1), `broken` (why it is no text of an object, or NULL), `text` (the beginning of
a broken message), `f0` (the message), `part` and `position` (its partition and offset in the stream). The first four
are those of `readers.text_records`, so that messages are read as lines of NDJSON are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from photogenic._lazy import pa
from photogenic.ingest.readers.text_records import MAX_RECORD
from photogenic.ingest.tabular.schemas import Reason

__all__ = ["MessageRecords", "first_texts", "places_of", "write_messages"]

_SHOWN = 4096
_HEAD = 1 << 20
_ROWS = 1 << 14


def write_messages(
    file: BinaryIO,
    values: Sequence[bytes | None],
    parts: Sequence[int],
    offsets: Sequence[int],
    broken: dict[int, Reason],
) -> None:
    """Write messages into a file.

    Args:
        file: new file.
        values: the messages; None: without a value.
        parts: partition of each.
        offsets: offset of each.
        broken: reasons that are known already, by the number of the message, from 0; it receives further ones.
    """
    sink = pa.ipc.new_file(file, _schema())
    with sink:
        for at in range(0, len(values), _ROWS):
            sink.write_batch(_batch(values[at : at + _ROWS], at, parts, offsets, broken))
    file.flush()


def places_of(path: Path) -> pa.Table:
    """The partition and the offset of each message: line, part, position."""
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all().select(["line", "part", "position"])


def first_texts(path: Path) -> str:
    """The first messages, one a line."""
    found, size = list[str](), 0
    with pa.memory_map(str(path)) as mapped:
        reader = pa.ipc.open_file(mapped)
        for text in reader.get_batch(0).column("f0").to_pylist() if reader.num_record_batches else ():
            if text is not None and (size := size + len(text)) <= _HEAD:
                found.append(" ".join(text.split("\n")))
    return "\n".join(found)


class MessageRecords:
    """The records of a file of messages, read once.

    Args:
        path: the file.
        advance: Callback for the number of records found.

    Attributes:
        n_records: number of records found so far.
        failure: error that ended the file too early.
        looks_latin1: never: a message that is not UTF-8 is broken.
    """

    def __init__(self, path: Path, *, advance: Callable[[int], None] = lambda _: None) -> None:
        self.n_records = 0
        self.failure: OSError | None = None
        self.looks_latin1 = False
        self._path, self._advance = path, advance

    def reader(self) -> pa.RecordBatchReader:
        """Batches of line (from 1), broken (a reason or NULL), text (of broken records), and f0 (the message)."""
        schema = pa.schema(list(_schema())[:4])

        def batches() -> pa.RecordBatch:
            with pa.OSFile(str(self._path)) as file:
                held = pa.ipc.open_file(file)
                for at in range(held.num_record_batches):
                    batch = held.get_batch(at).select(["line", "broken", "text", "f0"])
                    self.n_records += batch.num_rows
                    self._advance(batch.num_rows)
                    yield batch

        return pa.RecordBatchReader.from_batches(schema, batches())


def _schema() -> pa.Schema:
    return pa.schema(
        [
            *(("line", pa.int64()), ("broken", pa.string()), ("text", pa.string()), ("f0", pa.string())),
            *(("part", pa.int32()), ("position", pa.int64())),
        ]
    )


def _batch(
    values: Sequence[bytes | None],
    first: int,
    parts: Sequence[int],
    offsets: Sequence[int],
    broken: dict[int, Reason],
) -> pa.RecordBatch:
    n = len(values)
    for number, value in enumerate(values):
        if value is None:
            broken.setdefault(first + number, "no_value")
        elif len(value) > MAX_RECORD:
            broken.setdefault(first + number, "too_long")
    sound = [None if first + number in broken else value for number, value in enumerate(values)]
    try:
        fields = pa.array(sound, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # one of them is not UTF-8
        for number, value in enumerate(sound):
            try:
                if value is not None:
                    value.decode()
            except UnicodeDecodeError:
                broken[first + number] = "bad_encoding"
                sound[number] = None
        fields = pa.array(sound, pa.binary()).cast(pa.string())
    reasons = [broken.get(first + number) for number in range(n)]
    texts = [
        (value or b"")[:_SHOWN].decode(errors="backslashreplace") if reason is not None else None
        for value, reason in zip(values, reasons, strict=True)
    ]
    return pa.record_batch(
        [
            pa.array(np.arange(first + 1, first + n + 1, dtype=np.int64)),
            pa.array(reasons, pa.string()),
            pa.array(texts, pa.string()),
            fields,
            pa.array(parts[first : first + n], pa.int32()),
            pa.array(offsets[first : first + n], pa.int64()),
        ],
        schema=_schema(),
    )

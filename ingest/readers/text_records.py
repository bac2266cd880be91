"""Read a text file as records: each with its true line number, and with the reason if its text is invalid.

The file is read in blocks of some megabytes: NumPy finds the lines, Arrow's C++ parser splits the fields, and only
invalid records (quotes, encoding, number of fields) are handled one by one. So a quoted field that is never closed
loses only its own line, and all other rows are read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa
from photogenic.ingest.readers.csv_quotes import Quotes
from photogenic.ingest.readers.text_blocks import Block, line_ends
from photogenic.ingest.readers.text_streams import TextStream
from photogenic.ingest.tabular.schemas import Reason

__all__ = ["MAX_RECORD", "Records"]

MAX_RECORD = 16 << 20
"""Largest size of a record, in bytes. A longer one is refused, and reading continues after it."""

_BLOCK = 8 << 20
_SHOWN = 4096
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


class Records:
    """The records of one stream, read once.

    Args:
        stream: text stream; read to its end.
        n_fields: number of fields of a record.
        wanted: numbers of the fields to return, from 0.
        separator: separator of the fields; None: a line is one field.
        skip_lines: number of lines before the first record (the header, and blank lines before it).
        advance: Callback for the number of records found.

    Attributes:
        n_records: number of records found so far, without blank lines.
        failure: error that ended the stream too early.
    """

    def __init__(
        self,
        stream: TextStream,
        *,
        n_fields: int = 1,
        wanted: Sequence[int] = (0,),
        separator: str | None = None,
        skip_lines: int = 0,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.n_records = 0
        self.failure: OSError | None = None
        self._stream, self._n_fields, self._wanted = stream, n_fields, wanted
        self._separator, self._quotes = separator, separator and Quotes(separator)
        self._line, self._skip, self._advance = 1, skip_lines, advance
        self._saw_utf8 = self._saw_other = False

    @property
    def looks_latin1(self) -> bool:
        """Whether bytes beyond ASCII were found, and none of them were valid UTF-8."""
        return self._saw_other and not self._saw_utf8

    def reader(self) -> pa.RecordBatchReader:
        """Batches of line (from 1), broken (a reason or NULL), text (of broken records), and the fields f0, f1..."""
        schema = pa.schema(
            [("line", pa.int64()), ("broken", pa.string()), ("text", pa.string())]
            + [(f"f{number}", pa.string()) for number in self._wanted]
        )
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for block in self._blocks():
                self.n_records += len(block)
                self._advance(len(block))
                self._find_bad_encoding(block)
                good = self._parse(block, schema)
                if block.broken:
                    yield _broken_batch(block, schema)
                if good.num_rows:
                    yield good
        except OSError as error:
            self.failure = error
            raise
        finally:
            self._stream.close()

    def _blocks(self) -> Iterator[Block]:
        carry, at_end = b"", False
        while not at_end:
            data = self._stream.read(_BLOCK)
            at_end = not data
            buffer = carry + data
            ends = line_ends(buffer, at_end=at_end)
            if not len(ends) and len(buffer) > MAX_RECORD:
                yield self._too_long_block(buffer)
                carry = self._skip_line()
                continue
            block, n_bytes = self._cut(buffer, ends, final=at_end)
            carry = buffer[n_bytes:]
            if len(block):
                yield block

    def _cut(self, buffer: bytes, ends: NDArray[np.int64], *, final: bool) -> tuple[Block, int]:
        """The complete records of a buffer, and how many of its bytes they take."""
        first, bad = np.ones(len(ends), bool), set[int]()
        n_lines = len(ends)
        if self._quotes and b'"' in buffer:
            n_lines = self._quotes.join(buffer, ends, first, bad, final=final, most=MAX_RECORD)
        numbers = np.flatnonzero(first[:n_lines])
        broken: dict[int, Reason] = {int(np.searchsorted(numbers, number)): "bad_quotes" for number in bad}
        bounds = np.concatenate(([0], ends[:n_lines]))
        starts = bounds[numbers]
        block = Block(buffer, starts, np.append(starts[1:], bounds[-1:]), numbers + self._line, broken)
        for at in np.flatnonzero(block.stops - starts > MAX_RECORD):
            broken[int(at)] = "too_long"
        self._line += n_lines
        return block.without(block.blank() | (block.lines <= self._skip)), int(bounds[-1])

    def _parse(self, block: Block, schema: pa.Schema) -> pa.RecordBatch:
        """Parse the fields of the records that are not broken; others become broken if their number is wrong."""
        unbroken = block.unbroken()
        text = block.texts(unbroken)
        fields: list[pa.Array] = []
        if self._separator is None:
            fields.append(text.cast(pa.string()))
        else:
            table, miscounted = self._split(text)
            at = np.flatnonzero(unbroken)
            for number, n_fields in miscounted:
                reason: Reason = "too_few_columns" if n_fields < self._n_fields else "too_many_columns"
                block.broken[int(at[number])] = reason
                unbroken[at[number]] = False
            fields.extend(table.column(f"f{number}").combine_chunks() for number in self._wanted)
        n = int(unbroken.sum())
        if any(len(field) != n for field in fields):
            raise AssertionError("the parser and the splitter disagree on the number of records")
        nothing = pa.nulls(n, pa.string())
        return pa.record_batch([pa.array(block.lines[unbroken]), nothing, nothing, *fields], schema=schema)

    def _split(self, text: pa.Array) -> tuple[pa.Table, list[tuple[int, int]]]:
        """The fields, and the records (numbers from 0) with another number of fields."""
        names = [f"f{number}" for number in range(self._n_fields)]
        miscounted: list[tuple[int, int]] = []

        def note(row: pa.csv.InvalidRow) -> str:
            miscounted.append((row.number - 1, row.actual_columns))
            return "skip"

        buffer = _joined(text)
        if not buffer.size:
            return pa.table({name: pa.array([], pa.string()) for name in names}), []
        table = pa.csv.read_csv(
            buffer,
            pa.csv.ReadOptions(use_threads=False, block_size=buffer.size + 1, column_names=names),
            pa.csv.ParseOptions(delimiter=self._separator, newlines_in_values=True, invalid_row_handler=note),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[f"f{number}" for number in self._wanted],
                check_utf8=False,
            ),
        )
        return table, miscounted

    def _find_bad_encoding(self, block: Block) -> None:

        if block.buffer.isascii():
            return
        buffer = memoryview(block.buffer)
        self._saw_utf8 = self._saw_utf8 or _MULTIBYTE.search(buffer) is not None
        at, stop = int(block.starts[0]), int(block.stops[-1])
        while at < stop:
            try:
                codecs.utf_8_decode(buffer[at:stop], "strict", True)
            except UnicodeDecodeError as error:
                self._saw_other = True
                record = int(np.searchsorted(block.starts, at + error.start, side="right")) - 1
                block.broken.setdefault(record, "bad_encoding")
                at = int(block.stops[record])
            else:
                return

    def _too_long_block(self, buffer: bytes) -> Block:

        self._line += 1
        return Block(buffer, np.array([0]), np.array([len(buffer)]), np.array([self._line - 1]), {0: "too_long"})

    def _skip_line(self) -> bytes:
        """Skip the rest of the line; the bytes that follow it."""
        while data := self._stream.read(_BLOCK):
            if end := data.find(b"\n") + 1:
                return data[end:]
        return b""


def _broken_batch(block: Block, schema: pa.Schema) -> pa.RecordBatch:
    """The broken records as a batch, with their text and without fields."""
    numbers = sorted(block.broken)
    texts = [block.excerpt(number, _SHOWN) for number in numbers]
    nothing = pa.nulls(len(numbers), pa.string())
    columns = [
        pa.array(block.lines[numbers]),
        pa.array([block.broken[number] for number in numbers], pa.string()),
        pa.array(texts, pa.string()),
    ]
    return pa.record_batch([*columns, *[nothing] * (len(schema) - 3)], schema=schema)


def _joined(text: pa.Array) -> pa.Buffer:
    """The bytes of adjacent records as one buffer."""
    if not len(text):
        return text.buffers()[2].slice(0, 0)
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    return text.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))

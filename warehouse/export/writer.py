"""What a writer does: it writes one stream of Arrow to one target, and says what lies there already."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.export.options import ExportOptions

__all__ = ["NULL", "Counted", "Exported", "Target", "Writer", "check_table"]

NULL = "__HIVE_DEFAULT_PARTITION__"
"""Folder of a partition whose value is NULL."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where one item goes.

    Attributes:
        name: name of the folder or table, one that `check_table` accepts.
        item: what is exported, as it was named: `photo_labels`, `training-set:may`.
        digest: digest of its content and of the options that shape what is written.
        n_rows: number of its rows.
        about: facts for the metadata of what is written: program, version, moment, item, digest.
        partitions: partition -> digest of its rows, as for `digest`; a partition is the text `month=2024-01`, or
            several with slashes between them. Empty: not partitioned, or not known.
        kept: partitions whose files stay: their rows are not in the stream.
    """

    name: str
    item: str
    digest: str
    n_rows: int
    about: Mapping[str, str] = field(default_factory=dict)
    partitions: Mapping[str, str] = field(default_factory=dict)
    kept: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported item.

    Attributes:
        name: name of its folder or table.
        n_rows: number of rows there; of a table that rows were added to, the number of added rows.
        n_files: number of files with them; 0: a table of a database.
        bytes: size of these files in bytes.
        state: written; unchanged: what lies there has the same rows, and was left as it is.
        address: the folder, address or table, without secrets.
        n_written: number of rows that were written: fewer than `n_rows` if partitions were left as they are.
    """

    name: str
    n_rows: int
    n_files: int
    bytes: int
    state: Literal["written", "unchanged"] = "written"
    address: str = ""
    n_written: int = 0

    @property
    def table(self) -> str:
        """The name."""
        return self.name


class Writer(Protocol):
    """A writer to one address, for the items of one export, in turn."""

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        """Return what lies at the target, if it surely has the digest of `target`; None: it is to be written.

        Raises:
            InputError: the target holds something that no export wrote, so that it is not replaced.
        """
        ...

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:
        """Return the partitions that lie there with the digest that `target` has for them, and that can stay."""
        ...

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        """Write all rows in place of those of the former export, or add them: readers see all of them or none.

        Raises:
            InputError: the target cannot be written.
            StoreError: the stream had another number of rows than the target says.
        """
        ...

    def publish(self) -> None:
        """Make everything that was written visible at once, where items are not tables of their own."""
        ...

    def verify(self, target: Target) -> None:
        """Read what was published again.

        Raises:
            StoreError: it is not what was written.
        """
        ...

    def close(self) -> None:
        """Remove what was not published, and let the next export begin."""
        ...


class Counted:
    """A stream of Arrow that counts its rows.

    Attributes:
        reader: the stream to read.
        n_rows: number of rows that were read.
    """

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.n_rows = 0
        self.reader = pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in reader:
            self.n_rows += batch.num_rows
            yield batch

    def check(self, target: Target, expected: int | None = None) -> None:
        """Refuse a stream that had fewer or more rows than those that were counted.

        Raises:
            StoreError: the numbers differ.
        """
        expected = target.n_rows if expected is None else expected
        if self.n_rows != expected:
            raise StoreError(
                f"{target.item} gave {self.n_rows:,} rows, and {expected:,} were counted.",
                "rows that stay the same while they are exported",
                "run the same command again",
            )


def check_table(name: str) -> str:
    """Return a name of a folder or table, if it can be one on every system.

    Raises:
        InputError: it has other characters, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"The table is called {name[:80]!r}.",
            "letters, digits, and `_`, `-` or `.` after the first one, at most 128",
            "--table photo_labels",
        )
    return name

"""Frames of pandas as Arrow: columns of numbers and times where they lie, objects one block of rows at a time.

pandas has no types for text, nor for whole numbers with gaps, unless one asks for them: such columns hold objects of
Python. A column whose objects have several types is read as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from photogenic._lazy import pa
from photogenic.ingest.sources.content_digest import BLOCK
from photogenic.ingest.sources.python_values import UnsuitableError, text_of
from photogenic.warehouse import InputError

__all__ = ["OtherTypeError", "PandasRows", "is_pandas"]


class OtherTypeError(Exception):
    """Values of a column are not of the type of the first ones; now the column is read as text."""


def is_pandas(given: object) -> bool:
    """Whether it is a frame of pandas. pandas is not imported for that."""
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas" for kind in type(given).__mro__
    )


class PandasRows:
    """The rows of a frame. Levels of the index that have a name are columns too.

    Args:
        frame: the frame.
        name: name of the source, for messages.
    """

    def __init__(self, frame: Any, name: str) -> None:
        self._name, self._n = name, len(frame)
        labels = [str(label) for label in frame.columns]
        series = [(label, frame.iloc[:, at]) for at, label in enumerate(labels)]
        series += [
            (str(label), frame.index.get_level_values(at).to_series())
            for at, label in enumerate(frame.index.names)
            if label is not None and str(label) not in labels
        ]
        self._columns = [_Column(label, *_dense(values)) for label, values in series]

    @property
    def has_objects(self) -> bool:
        """Whether a column holds objects of Python, which must be converted to be read."""
        return any(column.series.dtype == object for column in self._columns)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows."""
        return pa.schema([(column.name, column.type) for column in self._columns])

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the account."""
        return tuple(
            f"values of several types, read as text: {column.name}" for column in self._columns if column.is_text
        )

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows.

        Raises:
            OtherTypeError: a column must be read as text. Then this must be called again.
            InputError: a column cannot be read as text either.
        """
        schema = self.schema
        for start in range(0, self._n, BLOCK):
            arrays = [self._array(at, start, min(start + BLOCK, self._n)) for at in range(len(self._columns))]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _array(self, at: int, start: int, end: int) -> pa.Array:
        column = self._columns[at]
        try:
            return column.array(start, end)
        except (
            TypeError,
            ValueError,
            OverflowError,
            NotImplementedError,
            UnsuitableError,
        ) as error:  # as pyarrow's are
            if column.series.dtype == object and not column.is_text:
                self._columns[at] = replace(column, type=pa.string(), is_text=True)
                raise OtherTypeError from error
            what = f"holds {error}" if isinstance(error, UnsuitableError) else f"is {column.series.dtype}: {error}"
            raise InputError(
                f"{self._name}: column {column.name!r} {what}.",
                "a column of texts, numbers, times, or True and False",
                f"frame.drop(columns={column.name!r}), or convert it",
            ) from error


@dataclass(frozen=True, slots=True)
class _Column:
    """One column.

    Attributes:
        name: name of the column.
        series: its values.
        type: Arrow type of its values.
        is_text: whether they are of several types, and read as text.
    """

    name: str
    series: Any
    type: pa.DataType
    is_text: bool = False

    def array(self, start: int, end: int) -> pa.Array:
        """Return some of the values."""
        part = self.series.iloc[start:end]
        if not self.is_text:
            array = pa.array(part, self.type, from_pandas=True)
            return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        missing = part.isna().to_numpy()
        texts = (None if gone else text_of(value) for value, gone in zip(part, missing, strict=True))
        return pa.array([text and text.encode(errors="backslashreplace").decode() for text in texts], pa.string())


def _dense(series: Any) -> tuple[Any, pa.DataType]:
    """Return the values of a column, and their Arrow type, of objects that of the first ones."""
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    if series.dtype != object:
        try:
            return series, pa.array(series.iloc[:0], from_pandas=True).type
        except (TypeError, ValueError, NotImplementedError):  # such as categories of several types
            series = series.astype(object)
    try:
        return series, pa.infer_type(series.to_numpy(), from_pandas=True)
    except (TypeError, ValueError, NotImplementedError):
        return series, pa.string()

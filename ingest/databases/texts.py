"""Texts of databases that do not check their encoding: SQLite, and SQL_ASCII of PostgreSQL."""

from __future__ import annotations

from photogenic._lazy import pa

__all__ = ["Texts"]


class Texts:
    """Makes texts valid UTF-8, and counts those that were not.

    Attributes:
        n_latin1: number of texts that were read as Latin-1.
    """

    def __init__(self) -> None:
        self.n_latin1 = 0

    def valid(self, column: pa.Array) -> pa.Array:
        """A column whose texts are valid UTF-8: a text that is not is read as Latin-1."""
        if pa.types.is_list(column.type):
            values = self.valid(column.values)
            if values is column.values:
                return column
            return pa.ListArray.from_arrays(column.offsets, values, mask=column.is_null())
        if not (pa.types.is_string(column.type) or column.type == pa.json_()):
            return column
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            texts = [None if value is None else self._text(value) for value in _octets(column)]
            return pa.array(texts, pa.string()).cast(column.type)
        return column

    def notes(self) -> list[str]:
        """What the account says of them."""
        return [f"{self.n_latin1:,} texts are not UTF-8: read as Latin-1"] if self.n_latin1 else []

    def _text(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.n_latin1 += 1
            return value.decode("latin-1")


def _octets(column: pa.Array) -> list[bytes | None]:
    stored = column.storage if isinstance(column, pa.ExtensionArray) else column
    octets: list[bytes | None] = stored.view(pa.binary()).to_pylist()
    return octets

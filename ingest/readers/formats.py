"""The formats of files, by the first bytes of their content or by the endings of their names."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

__all__ = ["FORMATS", "Foreign", "Format", "by_content", "by_name", "has_known_name", "text_by_name"]

Format = Literal["csv", "ndjson", "parquet", "frame"]
"""Formats whose rows are read as they are; a frame lies in memory."""

Foreign = Literal["arrow", "arrow_stream", "avro", "orc", "spreadsheet"]
"""Formats that are first converted to one of the others."""

FORMATS = (
    "CSV or TSV (.csv, .tsv, .txt), NDJSON (.ndjson, .jsonl, .json), Parquet, Arrow or Feather (.arrow, .feather),"
    " ORC, Avro, a spreadsheet (.xlsx, .xls, .ods); text also as .gz or .zst"
)

_TEXT: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
}
_PARQUET = {".parquet", ".parq", ".pq"}
_FOREIGN: dict[str, Foreign] = {
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow_stream",
    ".avro": "avro",
    ".orc": "orc",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "spreadsheet"),
}
_COMPRESSED = {".gz", ".zst", ".zstd"}
_MAGIC: dict[bytes, Literal["parquet"] | Foreign] = {
    b"PAR1": "parquet",
    b"PARE": "parquet",
    b"ARROW1": "arrow",
    b"FEA1": "arrow",
    b"\xff\xff\xff\xff": "arrow_stream",
    b"Obj\x01": "avro",
    b"ORC": "orc",
}
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
"""Zip files, and the container of the older Office formats. Only with the ending of a spreadsheet they are read."""


def by_content(magic: bytes, name: str) -> Literal["parquet"] | Foreign | None:
    """The format that the first 16 bytes show; None: text, or unknown.

    Args:
        magic: first bytes of the file.
        name: name of the file.
    """
    for begin, format_ in _MAGIC.items():
        # A CSV may begin with a column such as ORCID.
        if magic.startswith(begin) and (format_ == "parquet" or not (begin.isalnum() and _is_text(name))):
            return format_
    return "spreadsheet" if magic.startswith(_ARCHIVES) and by_name(name) == "spreadsheet" else None


def by_name(name: str) -> Literal["parquet"] | Foreign | None:
    """The format that the ending shows, of those that are not text."""
    suffix = PurePath(name).suffix.lower()
    return "parquet" if suffix in _PARQUET else _FOREIGN.get(suffix)


def text_by_name(name: str, *, compressed: bool) -> Format | None:
    """The text format that the ending shows, before the ending of a compression."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    if compressed and suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _TEXT.get(suffixes[-1] if suffixes else "")


def has_known_name(name: str) -> bool:
    """Whether the ending is one of a format that is read."""
    return by_name(name) is not None or text_by_name(name, compressed=True) is not None


def _is_text(name: str) -> bool:
    return text_by_name(name, compressed=False) is not None

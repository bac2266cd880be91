"""Check the tables `[[sources]]` of `photogenic.toml`: where rows come from.

    [[sources]]
    name = "swipes"                                       # of its position in the store; default: the kind
    kind = "swipes"
    from = "postgresql://reader@db.example.org/app"       # or a path, a glob, a folder, s3://..., a Delta table
    query = "select * from swipes"                        # of a database
    watermark = "updated_at"                              # a column of the query's result
    lookback = "10 minutes"
    retract = false
    mapping = "swipes"

`files` in place of `from` is a list of files and globs, which `features ingest KIND` reads as well. An address holds no
secret; `${FEATURES_SOURCE_NAME}` in `from` stands for a variable of the environment. Other variables cannot be named,
so that a file from a stranger cannot send them to a machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from photogenic.config.checked_file import CheckedFile
from photogenic.config.values import FileSource
from photogenic.ingest.sync.lookback import LOOKBACK_HELP, is_lookback
from photogenic.warehouse.filesystems.addresses import is_remote

__all__ = ["KINDS", "check_sources"]

KINDS = ("users", "photos", "main_photos", "swipes")
"""Kinds of rows that `features ingest` reads."""

_KEYS = ("name", "kind", "files", "from", "query", "watermark", "lookback", "retract", "mapping", "images")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DATABASE = re.compile(r"(postgres|postgresql|mysql|sqlite):", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_ALLOWED = re.compile(r"FEATURES_SOURCE_[A-Z0-9_]{1,50}")
_SECRET_PARAMETER = re.compile(
    r"[?&;\s][^=&;\s]*(password|passwd|token|secret|signature|credential|accesskey|access_key|sig)[^=&;\s]*=",
    re.IGNORECASE,
)
_MOST_QUERY = 100_000


def check_sources(file: CheckedFile, found: object, mappings: Mapping[str, object]) -> tuple[FileSource, ...]:
    """Check the array of tables `[[sources]]`.

    Raises:
        InputError: a key is not known, or a value is not what it must be.
    """
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise file.wrong("", "sources", found, "tables: [[sources]]", "[[sources]]")
    names = {table.get("name") for table in found} - {None}
    sources: list[FileSource] = []
    for number, table in enumerate(found):
        source = _source(file, table, mappings, number, {*names, *(source.name for source in sources)})
        if any(source.name == other.name for other in sources):
            what = f"two sources have the name {source.name!r}."
            raise file.error("sources", "name", what, "a name of its own", 'name = "swipes-eu"', number=number)
        sources.append(source)
    return tuple(sources)


def _source(
    file: CheckedFile, table: Mapping[str, Any], mappings: Mapping[str, object], number: int, taken: set[Any]
) -> FileSource:
    file.refuse_unknown("sources", table, _KEYS, number=number)
    kind = table.get("kind")
    if not isinstance(kind, str) or kind.replace("-", "_") not in KINDS:
        raise file.wrong("sources", "kind", kind, f"one of {', '.join(KINDS)}", 'kind = "swipes"', number=number)
    kind = kind.replace("-", "_")
    name = table.get("name", _free(kind, taken))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        expected = "at most 63 letters, digits, _, - and ., the first one a letter or a digit"
        raise file.wrong("sources", "name", name, expected, f'name = "{kind}"', number=number)
    mapping = table.get("mapping")
    if mapping is not None and (not isinstance(mapping, str) or mapping not in mappings):
        expected = f"one of {', '.join(mappings)}" if mappings else "a table [mappings.NAME.columns]"
        raise file.wrong("sources", "mapping", mapping, expected, f"[mappings.{KINDS[-1]}.columns]", number=number)
    images = table.get("images")
    if images is not None and kind != "photos":
        raise file.wrong(
            "sources", "images", images, 'images only with kind = "photos"', "remove images", number=number
        )
    retract = table.get("retract", False)
    if not isinstance(retract, bool):
        raise file.wrong("sources", "retract", retract, "true or false", "retract = true", number=number)
    if "from" in table and "files" in table:
        what = "a source has from and files."
        raise file.error("sources", "files", what, "one of the two", "remove files", number=number)
    if "from" in table:
        files: tuple[str, ...] = (_address(file, table["from"], number),)
    else:
        files = _files(file, table.get("files"), number)
    query, watermark, lookback = _query(file, table, files[0], number)
    return FileSource(
        kind,
        files,
        mapping,
        images if images is None or is_remote(images) else file.folder("sources", "images", images, number),
        name=name,
        only_new="from" in table,
        query=query,
        watermark=watermark,
        lookback=lookback,
        retract=retract,
    )


def _free(kind: str, taken: set[Any]) -> str:
    """Return the name of a source that gives none: its kind, with a number if that is taken."""
    return next(name for n in range(1, len(taken) + 3) if (name := kind if n == 1 else f"{kind}-{n}") not in taken)


def _query(
    file: CheckedFile, table: Mapping[str, Any], address: str, number: int
) -> tuple[str | None, str | None, str | int | None]:
    """Check query, watermark and lookback."""
    query, watermark, lookback = (table.get(key) for key in ("query", "watermark", "lookback"))
    may_be_database = "from" in table and bool(_DATABASE.match(address) or address.startswith("${"))
    for key in ("query", "watermark", "lookback"):
        if key in table and not may_be_database:
            what = f"a source has {key}, and comes from no database."
            raise file.error(
                "sources", key, what, "from = postgresql://... or sqlite:...", f"remove {key}", number=number
            )
    if _DATABASE.match(address) and "from" in table and query is None:
        what = "a source comes from a database, and has no query."
        raise file.error("sources", "from", what, "a query", 'query = "select * from swipes"', number=number)
    if query is not None and (
        not isinstance(query, str) or not query.strip() or "\0" in query or len(query) > _MOST_QUERY
    ):
        raise file.wrong(
            "sources", "query", query, "a text: one SELECT", 'query = "select * from swipes"', number=number
        )
    if watermark is not None and (
        query is None or not isinstance(watermark, str) or not watermark.strip() or not watermark.isprintable()
    ):
        expected = "a column of the query's result"
        raise file.wrong("sources", "watermark", watermark, expected, 'watermark = "updated_at"', number=number)
    if lookback is not None and (watermark is None or not is_lookback(lookback)):
        expected = f"{LOOKBACK_HELP}, with a watermark"
        raise file.wrong("sources", "lookback", lookback, expected, 'lookback = "10 minutes"', number=number)
    return query, watermark, lookback


def _files(file: CheckedFile, found: object, number: int) -> tuple[str, ...]:
    """Return the files of a source; relative ones start from the folder of the file."""
    files = [found] if isinstance(found, str) else found
    if not isinstance(files, list) or not files or not all(isinstance(one, str) and one for one in files):
        raise file.wrong(
            "sources", "files", found, 'a list, such as ["log/*.parquet"]', 'files = ["swipes.csv"]', number=number
        )
    return tuple(_place(file, "files", one, number) for one in files)


def _address(file: CheckedFile, found: object, number: int) -> str:
    """Return where a source comes from."""
    if not isinstance(found, str) or not found:
        expected = "a text: a path, a glob or an address"
        raise file.wrong("sources", "from", found, expected, 'from = "s3://bucket/swipes/*.parquet"', number=number)
    for variable in _VARIABLE.finditer(found):
        if not variable[0].endswith("}") or not _ALLOWED.fullmatch(variable[1]):
            what = "an address names a variable of another name than FEATURES_SOURCE_..."
            expected = "only those: a file of a stranger must not send other variables to a machine"
            remedy = "export FEATURES_SOURCE_SWIPES=..."
            raise file.error("sources", "from", what, expected, remedy, number=number)
    return _place(file, "from", found, number)


def _place(file: CheckedFile, key: str, text: str, number: int) -> str:
    """Return an address as it is, and a path from the folder of the file."""
    if "\0" in text or text == "-":
        raise file.wrong("sources", key, text, "files and globs", f'{key} = "swipes.csv"', number=number)
    if text.startswith("${"):
        return text
    if text.lower().startswith("sqlite:") and "://" not in text and "?" not in text:
        return f"sqlite:{file.folder('sources', key, text[7:], number).absolute()}"
    if "://" not in text:
        return str(file.folder("sources", key, text, number))
    try:
        has_secret = urlsplit(text).password is not None
    except ValueError:
        has_secret = True
    if has_secret or "password=" in text.lower() or _SECRET_PARAMETER.search(text):
        what = "an address has a password or another secret, and this file is no place for one."
        expected = "an address without it: PGPASSWORD, ~/.pgpass, AWS_* or ${FEATURES_SOURCE_NAME} have it"
        raise file.error("sources", key, what, expected, "remove the secret", number=number)
    return text

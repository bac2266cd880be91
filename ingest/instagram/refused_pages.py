"""Remove pages that the warehouse cannot load from the crawl's journal, and count them as rejected rows.

Pages are checked before they are written, but a journal may come from an earlier version, or from a disk that lost
bytes. An unreadable page becomes a reject; if its target can be read, its walk ends as `api_error`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BadPage", "readable_copy"]

_MOST = 2**63 - 1
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", re.ASCII)
_MOST_PAGES = 2**31 - 1
_LONGEST = 15 << 20
"""Largest size of a line, in bytes; DuckDB reads up to 16 MiB."""

_PAGE = {"target": "text", "status": "text", "detail": "text?", "cursor": "text?", "n_posts": "count"}
_PAGE |= {"began_at": "time", "page": "page", "observed_at": "time"}
_POST = {"photo_id": "text", "user_id": "text?", "url": "text?", "posted_at": "time?", "likes": "count?"}
_POST |= {"comments": "count?", "hashtags": "texts"}
_ACCOUNT = {"user_id": "text", "followers": "count?", "posts": "count?"}


@dataclass(frozen=True, slots=True)
class BadPage:
    """Number of a line of the journal, from 1, and the reason why it cannot be read."""

    line: int
    why: str


@contextlib.contextmanager
def readable_copy(segment: Path) -> Iterator[tuple[Path, list[BadPage]]]:
    """Make a copy of a segment without its unreadable pages, and list those.

    A page whose target can be read is replaced by the end of its walk, without rows. The segment does not change: it
    is read again if the merge does not finish.
    """
    bad: list[BadPage] = []
    kept: list[bytes] = []
    with segment.open("rb") as file:
        for number, line in enumerate(file, 1):
            record, why = _parse_record(line)
            if why is None:
                kept.append(line)
                continue
            bad.append(BadPage(number, why))
            if (ended := _end_of_walk(record, why)) is not None:
                kept.append(json.dumps(ended).encode() + b"\n")
    if not bad:
        yield segment, bad
        return
    path = segment.with_name(f".{segment.name}.tmp")
    try:
        path.write_bytes(b"".join(kept))
        yield path, bad
    finally:
        path.unlink(missing_ok=True)


def _parse_record(line: bytes) -> tuple[dict[str, Any], str | None]:
    """Parse a line; the record and the reason why it cannot be loaded."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "no JSON"
    if not isinstance(record, dict):
        return {}, "no object"
    if "synced" in record and "target" not in record:
        return record, None
    account, posts = record.get("account"), record.get("posts")
    checks: list[tuple[str, Any, dict[str, str]]] = [("", record, _PAGE)]
    if account is not None:
        checks.append(("account.", account, _ACCOUNT))
    if not isinstance(posts, list):
        return record, "posts"
    checks += [("posts.", post, _POST) for post in posts]
    for place, values, kinds in checks:
        if not isinstance(values, dict):
            return record, place[:-1]
        for name, kind in kinds.items():
            if not _has_type(values.get(name), kind):
                return record, place + name
    return record, "a line of over 15 MiB" if len(line) > _LONGEST else None


def _end_of_walk(record: dict[str, Any], why: str) -> dict[str, Any] | None:
    """Make the record that ends a walk whose page cannot be read."""
    kinds = {"target": "text", "began_at": "time", "observed_at": "time", "page": "page"}
    if not all(_has_type(record.get(name), kind) for name, kind in kinds.items()):
        return None
    known = {name: record[name] for name in kinds}
    return known | {"status": "api_error", "detail": f"a page that cannot be read: {why}", "n_posts": 0, "posts": []}


def _has_type(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith("?")
    match kind.rstrip("?"):
        case "count":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
        case "page":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PAGES
        case "texts":
            return isinstance(value, list) and all(_has_type(item, "text") for item in value)
        case "time":
            with contextlib.suppress(TypeError, ValueError):
                return _TIME.fullmatch(value) is not None and dt.datetime.fromisoformat(value) is not None
            return False
    if not isinstance(value, str):
        return False
    return value.isascii() or _encodes(value)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

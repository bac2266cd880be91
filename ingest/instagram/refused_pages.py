"""Pages in the crawl's journal that the warehouse cannot take: told apart, counted, and never in the way of others.

Pages are checked before they are written down, but a journal may come from an earlier version, or from a disk
that lost bytes. What cannot be read becomes a reject; where its target can be told, the walk ends as `api_error`.
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

__all__ = ["BadPage", "readable"]

_MOST = 2**63 - 1
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", re.ASCII)
_MOST_PAGES = 2**31 - 1
_LONGEST = 15 << 20
"""Bytes of a line; DuckDB takes 16 MiB."""

_PAGE = {"target": "text", "status": "text", "detail": "text?", "cursor": "text?", "n_posts": "count"}
_PAGE |= {"began_at": "time", "page": "page", "observed_at": "time"}
_POST = {"photo_id": "text", "user_id": "text?", "url": "text?", "posted_at": "time?", "likes": "count?"}
_POST |= {"comments": "count?", "hashtags": "texts"}
_ACCOUNT = {"user_id": "text", "followers": "count?", "posts": "count?"}


@dataclass(frozen=True, slots=True)
class BadPage:
    """A line of the journal, from 1, and why it cannot be read."""

    line: int
    why: str


@contextlib.contextmanager
def readable(segment: Path) -> Iterator[tuple[Path, list[BadPage]]]:
    """A file with what can be read of a segment, and what could not.

    A page whose target can be told stays as the end of its walk, without rows. The segment itself is left alone:
    it is read again where the merge does not come to its end.
    """
    bad: list[BadPage] = []
    kept: list[bytes] = []
    with segment.open("rb") as file:
        for number, line in enumerate(file, 1):
            record, why = _record(line)
            if why is None:
                kept.append(line)
                continue
            bad.append(BadPage(number, why))
            if (ended := _ended(record, why)) is not None:
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


def _record(line: bytes) -> tuple[dict[str, Any], str | None]:
    """A line's record, and why it cannot be taken."""
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
            if not _is(values.get(name), kind):
                return record, place + name
    return record, "a line of over 15 MiB" if len(line) > _LONGEST else None


def _ended(record: dict[str, Any], why: str) -> dict[str, Any] | None:
    """The end of a walk whose page cannot be read."""
    kinds = {"target": "text", "began_at": "time", "observed_at": "time", "page": "page"}
    if not all(_is(record.get(name), kind) for name, kind in kinds.items()):
        return None
    told = {name: record[name] for name in kinds}
    return told | {"status": "api_error", "detail": f"a page that cannot be read: {why}", "n_posts": 0, "posts": []}


def _is(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith("?")
    match kind.rstrip("?"):
        case "count":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
        case "page":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PAGES
        case "texts":
            return isinstance(value, list) and all(_is(item, "text") for item in value)
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

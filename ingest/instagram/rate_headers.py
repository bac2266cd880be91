"""Parse the network's rate limits: usage headers and error codes.

Source: developers.facebook.com, "Rate Limits" and "Handling Errors".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from photogenic.ingest.instagram.responses import LONGEST_ANSWER, InvalidAnswerError, number, parse_json

__all__ = ["ApiError", "ErrorKind", "Usage", "api_error", "check_answer", "read_answer", "usage"]

ErrorKind = Literal["rate", "app_rate", "token", "permission", "unknown", "passing", "other", "odd"]

_LONGEST_REST_S = 86400.0
"""The network's windows are an hour and a day long."""

_RATE = frozenset({17, 32, 613, *range(80000, 80015)})
_APP_RATE = frozenset({4, 341})
_TOKEN = frozenset({102, 104, 190})
_PERMISSION = frozenset({3, 10, 18, *range(200, 300)})
_UNKNOWN = frozenset({24, 100, 110, 803})
_PASSING = frozenset({-1, 1, 2})


@dataclass(frozen=True, slots=True)
class Usage:
    """The used part of the limit, in percent, and the pause that is asked for, in seconds."""

    percent: float
    regain_s: float


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error answer, reduced to numbers: the network's text may quote the token."""

    kind: ErrorKind
    code: int
    subcode: int
    why: str = ""

    @property
    def detail(self) -> str:
        """The reason, in our own words or as the network's numbers."""
        return self.why or f"code {self.code}" + (f", subcode {self.subcode}" if self.subcode else "")


def usage(headers: Mapping[str, str]) -> Usage:
    """The highest usage in X-App-Usage and X-Business-Use-Case-Usage; 0 percent without these headers."""
    entries: list[Any] = [_parse(headers.get("X-App-Usage"))]
    business = _parse(headers.get("X-Business-Use-Case-Usage"))
    for uses in business.values():
        entries.extend(uses if isinstance(uses, list) else [])
    entries = [entry for entry in entries if isinstance(entry, dict)]
    parts = ("call_count", "total_time", "total_cputime")
    return Usage(
        percent=max((number(entry.get(part)) for entry in entries for part in parts), default=0.0),
        regain_s=min(
            60 * max((number(entry.get("estimated_time_to_regain_access")) for entry in entries), default=0.0),
            _LONGEST_REST_S,
        ),
    )


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Read the bytes of an answer, at most one more than it may have."""
    parts, n_bytes = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > LONGEST_ANSWER:
            break
    return b"".join(parts)[: LONGEST_ANSWER + 1]


def check_answer(status: int, raw: bytes) -> tuple[dict[str, Any], ApiError | None]:
    """The object in an answer, and its error. The body of a failed request need not be valid."""
    why, body = "", None
    try:
        if len(raw) > LONGEST_ANSWER:
            raise InvalidAnswerError(f"over {LONGEST_ANSWER >> 20} MB")
        body = parse_json(raw)
        if not isinstance(body, dict):
            raise InvalidAnswerError("no object")
    except InvalidAnswerError as odd:
        why = str(odd)
    except ValueError:
        pass
    if why and status < 400:
        return {}, ApiError("odd", 0, 0, why)
    error = api_error(status, body)
    return (body if isinstance(body, dict) else {}), error


def api_error(status: int, body: Any) -> ApiError | None:
    """The error in an answer, or None. `body` is the parsed JSON, or None if it is not JSON."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        if status < 400 and isinstance(body, dict):
            return None
        return ApiError("rate" if status == 429 else "passing" if status >= 500 or status < 400 else "other", 0, 0)
    code, subcode = int(number(error.get("code"))), int(number(error.get("error_subcode")))
    return ApiError(_kind_of(code, status, transient=bool(error.get("is_transient"))), code, subcode)


def _kind_of(code: int, status: int, *, transient: bool) -> ErrorKind:
    kinds: tuple[tuple[frozenset[int], ErrorKind], ...] = (
        (_RATE, "rate"),
        (_APP_RATE, "app_rate"),
        (_TOKEN, "token"),
        (_PERMISSION, "permission"),
        (_PASSING, "passing"),
        (_UNKNOWN, "unknown"),
    )
    for codes, kind in kinds:
        if code in codes:
            return kind
    if status == 429:
        return "rate"
    return "passing" if transient or status >= 500 else "other"


def _parse(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""What the network says about its limits: usage headers, and what its error codes mean.

Source: developers.facebook.com, "Rate Limits" and "Handling Errors".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from photogenic.ingest.instagram.responses import LONGEST_ANSWER, OddAnswerError, number, parsed

__all__ = ["ApiError", "Trouble", "Usage", "api_error", "judged", "read_answer", "usage"]

Trouble = Literal["rate", "app_rate", "token", "permission", "unknown", "passing", "other", "odd"]

_LONGEST_REST_S = 86400.0
"""The network's windows are of an hour and of a day."""

_RATE = frozenset({17, 32, 613, *range(80000, 80015)})
_APP_RATE = frozenset({4, 341})
_TOKEN = frozenset({102, 104, 190})
_PERMISSION = frozenset({3, 10, 18, *range(200, 300)})
_UNKNOWN = frozenset({24, 100, 110, 803})
_PASSING = frozenset({-1, 1, 2})


@dataclass(frozen=True, slots=True)
class Usage:
    """The part of the limit that is spent, in percent, and the rest asked for, in seconds."""

    percent: float
    regain_s: float


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error body, reduced to numbers: the network's prose may quote the token."""

    trouble: Trouble
    code: int
    subcode: int
    why: str = ""

    @property
    def detail(self) -> str:
        """Why, in our own words or in the network's numbers."""
        return self.why or f"code {self.code}" + (f", subcode {self.subcode}" if self.subcode else "")


def usage(headers: Mapping[str, str]) -> Usage:
    """The worst that X-App-Usage and X-Business-Use-Case-Usage say; nothing said is 0 percent."""
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
    """The bytes of an answer, or one more than it may have."""
    parts, n_bytes = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > LONGEST_ANSWER:
            break
    return b"".join(parts)[: LONGEST_ANSWER + 1]


def judged(status: int, raw: bytes) -> tuple[dict[str, Any], ApiError | None]:
    """The object that an answer holds, and what it complains about. A failure's body is not held against it."""
    why, body = "", None
    try:
        if len(raw) > LONGEST_ANSWER:
            raise OddAnswerError(f"over {LONGEST_ANSWER >> 20} MB")
        body = parsed(raw)
        if not isinstance(body, dict):
            raise OddAnswerError("no object")
    except OddAnswerError as odd:
        why = str(odd)
    except ValueError:
        pass
    if why and status < 400:
        return {}, ApiError("odd", 0, 0, why)
    error = api_error(status, body)
    return (body if isinstance(body, dict) else {}), error


def api_error(status: int, body: Any) -> ApiError | None:
    """What an answer complains about; None: nothing. `body` is the parsed JSON, None where it is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        if status < 400 and isinstance(body, dict):
            return None
        return ApiError("rate" if status == 429 else "passing" if status >= 500 or status < 400 else "other", 0, 0)
    code, subcode = int(number(error.get("code"))), int(number(error.get("error_subcode")))
    return ApiError(_trouble(code, status, transient=bool(error.get("is_transient"))), code, subcode)


def _trouble(code: int, status: int, *, transient: bool) -> Trouble:
    kinds: tuple[tuple[frozenset[int], Trouble], ...] = (
        (_RATE, "rate"),
        (_APP_RATE, "app_rate"),
        (_TOKEN, "token"),
        (_PERMISSION, "permission"),
        (_PASSING, "passing"),
        (_UNKNOWN, "unknown"),
    )
    for codes, trouble in kinds:
        if code in codes:
            return trouble
    if status == 429:
        return "rate"
    return "passing" if transient or status >= 500 else "other"


def _parse(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

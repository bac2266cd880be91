"""What the network says about its limits: usage headers, and what its error codes mean.

Source: developers.facebook.com, "Rate Limits" and "Handling Errors".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["ApiError", "Trouble", "Usage", "api_error", "usage"]

Trouble = Literal["rate", "app_rate", "token", "permission", "unknown", "passing", "other"]

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

    @property
    def detail(self) -> str:
        return f"code {self.code}" + (f", subcode {self.subcode}" if self.subcode else "")


def usage(headers: Mapping[str, str]) -> Usage:
    """The worst that X-App-Usage and X-Business-Use-Case-Usage say; nothing said is 0 percent."""
    entries: list[Any] = [_parse(headers.get("X-App-Usage"))]
    business = _parse(headers.get("X-Business-Use-Case-Usage"))
    for uses in business.values():
        entries.extend(uses if isinstance(uses, list) else [])
    entries = [entry for entry in entries if isinstance(entry, dict)]
    parts = ("call_count", "total_time", "total_cputime")
    return Usage(
        percent=max((_number(entry.get(part)) for entry in entries for part in parts), default=0.0),
        regain_s=60 * max((_number(entry.get("estimated_time_to_regain_access")) for entry in entries), default=0.0),
    )


def api_error(status: int, body: Any) -> ApiError | None:
    """What an answer complains about; None: nothing. `body` is the parsed JSON, None where it is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        if status < 400 and isinstance(body, dict):
            return None
        return ApiError("rate" if status == 429 else "passing" if status >= 500 or status < 400 else "other", 0, 0)
    code, subcode = int(_number(error.get("code"))), int(_number(error.get("error_subcode")))
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
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

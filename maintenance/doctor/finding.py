"""What one check of `features doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["ok", "note", "fault", "fixed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        state: ok; note: worth knowing; fault: something will fail or already has; fixed: a fault that is none any more.
        found: what it saw.
        remedy: what to type; empty where there is nothing to do.
    """

    check: str
    state: State
    found: str
    remedy: str = ""

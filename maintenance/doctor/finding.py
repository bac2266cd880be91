"""The finding of one check of `features doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["ok", "note", "fault", "fixed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding of one check.

    Attributes:
        check: name of the check.
        state: ok; note: something to know; fault: something fails or will fail; fixed: a fault that was repaired.
        found: what the check found.
        remedy: command to type; empty if nothing needs to be done.
    """

    check: str
    state: State
    found: str
    remedy: str = ""

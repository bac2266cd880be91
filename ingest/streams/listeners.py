"""How far each listener of a store is, for other processes: a small file beside a lock, one pair for each topic.

The kernel releases the lock when the listener ends, in whatever way; the file then says how it stood last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from photogenic.ingest.streams.address import Address
from photogenic.warehouse.errors import LockedError
from photogenic.warehouse.storage.layout import Layout
from photogenic.warehouse.storage.lock import holder, locked
from photogenic.warehouse.storage.manifest import parse_object, read_limited, to_dataclass

__all__ = ["ListenerState", "State", "listening", "read_listeners", "report_state"]

State = Literal["connecting", "reading", "broker away", "waiting for the writer", "ended", "failed"]


@dataclass(slots=True)
class ListenerState:
    """State of one listener.

    Attributes:
        source: address of the topic.
        kind: kind of the rows.
        state: what it does; once its process has ended: ended, if it stopped by itself, else failed.
        n_events: messages that were written since it started.
        n_refused: those of them that are in `rejects`.
        lag: messages of each partition that the broker has and the store has not.
        started_at: seconds since 1970.
        written_at: when a batch was written last, in seconds since 1970; None: none was yet.
        reported_at: when this was written, in seconds since 1970.
        why: why it failed; empty: it did not.
    """

    source: str
    kind: str
    state: State = "connecting"
    n_events: int = 0
    n_refused: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    written_at: float | None = None
    reported_at: float = 0.0
    why: str = ""


@contextlib.contextmanager
def listening(layout: Layout, address: Address, state: ListenerState) -> Iterator[None]:
    """Hold the lock of a topic and a store, and tell how the listener ends.

    Raises:
        LockedError: another process listens to the topic for this store.
    """
    path = layout.listeners / f"{_key(address)}.lock"
    try:
        lock = contextlib.ExitStack()
        lock.enter_context(locked(path, f"features listen {address}", 0.0))
    except LockedError as error:
        raise LockedError(
            f"Another process listens to {address} for the store {layout.root}: {holder(path) or 'it has just ended'}.",
            "one listener for each topic and store",
            "end that process, or read another topic",
        ) from error
    with lock:
        try:
            report_state(layout, address, state)
            yield
            state.state = "ended"
        except BaseException as error:
            state.state, state.why = "failed", str(error).partition("\n")[0][:500]
            raise
        finally:
            report_state(layout, address, state)


def report_state(layout: Layout, address: Address, state: ListenerState) -> None:
    """Write the state for other processes. A full disk does not end a listener because of this file."""
    state.reported_at = time.time()
    path = layout.listeners / f"{_key(address)}.json"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(state)))
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_listeners(layout: Layout) -> list[dict[str, Any]]:
    """Return the state of each listener that the store has had, in the order of their sources, with `lag` summed.

    Each has the fields of `ListenerState`, `partitions` (the lag of each), and `process`: who it is now, or None.
    """
    found = []
    for path in sorted(layout.listeners.glob("*.json")) if layout.listeners.is_dir() else ():
        try:
            state = to_dataclass(ListenerState, parse_object(read_limited(path)))
        except (OSError, ValueError, TypeError, KeyError):
            continue
        process = holder(path.with_suffix(".lock"))
        if process is None and state.state not in {"ended", "failed"}:
            state.state, state.why = "failed", "its process was killed"
        facts: Mapping[str, Any] = asdict(state)
        found.append(
            {
                **facts,
                "lag": sum(state.lag.values()),
                "partitions": state.lag,
                "process": None if process is None else str(process),
            }
        )
    return sorted(found, key=lambda one: (one["source"], one["kind"]))


def _key(address: Address) -> str:
    return hashlib.sha256(os.fsencode(str(address))).hexdigest()[:16]

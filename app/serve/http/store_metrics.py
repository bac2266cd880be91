"""Metrics of the store: age of labels and vectors, the last build, rows taken in and refused.

They are measured again only after the store has changed, so that a scrape costs next to nothing. Ages grow with each
scrape.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from photogenic._lazy import duckdb
from photogenic.app.serve.http.metrics import Family
from photogenic.features.build_outcome import last_outcome
from photogenic.features.health import Health, measure, state_of
from photogenic.ingest.streams.listeners import read_listeners
from photogenic.warehouse import PhotogenicError, Store

__all__ = ["StoreMetrics", "families", "stream_families"]

_log = logging.getLogger(__name__)


class StoreMetrics:
    """The metrics of one store. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._state: object = None
        self._health: Health | None = None

    def current(self) -> list[Family]:
        """Return the current values; those of the last readable state while the store cannot be read."""
        return self._of_store() + stream_families(read_listeners(self._store.layout))

    def _of_store(self) -> list[Family]:
        with self._lock:
            state = state_of(self._store.layout)
            if state != self._state:
                try:
                    self._health, self._state = measure(self._store), state
                except (PhotogenicError, duckdb.Error, OSError) as error:
                    _log.warning("The state of the store cannot be measured: %s", error)
            health = self._health
        if health is None:
            return []
        if health.last_build is not None and health.last_build.result == "running":
            health = replace(health, last_build=last_outcome(self._store.database))  # or was it killed meanwhile?
        return families(health, dt.datetime.now(dt.UTC).replace(tzinfo=None))


def families(health: Health, now: dt.datetime) -> list[Family]:
    """Return the metrics of a state. What was never built has no value.

    Args:
        health: the state.
        now: the current time, naive UTC.
    """
    newest = health.newest_at or health.built_at
    last = health.last_build
    vectors = [({"encoder": name}, one) for name, one in health.vectors.items()]
    return [
        Family(
            "photogenic_labels_age_seconds",
            "Seconds since the newest data arrived from which labels were computed.",
            "gauge",
            [({}, _seconds(now, newest))] if newest is not None and health.built_at is not None else [],
        ),
        _gauge("photogenic_labels_stale", "Whether a build would change labels.", health.labels_stale),
        _gauge(
            "photogenic_labels_limited",
            "Whether the published labels are those of a past moment.",
            health.moment.is_limited,
        ),
        Family(
            "photogenic_vectors_missing",
            "Photos that have no vector yet.",
            "gauge",
            [(labels, one.n_missing) for labels, one in vectors],
        ),
        Family(
            "photogenic_vectors_age_seconds",
            "Seconds since the vectors changed.",
            "gauge",
            [(labels, _seconds(now, one.changed_at)) for labels, one in vectors if one.changed_at is not None],
        ),
        Family(
            "photogenic_index_stale",
            "Whether the search index is missing or of former vectors.",
            "gauge",
            [(labels, one.index != "current") for labels, one in vectors],
        ),
        Family(
            "photogenic_own_relation_failed",
            "Whether a relation or an audit of the user's own failed or is not computed yet.",
            "gauge",
            [({"name": name}, why is not None) for name, why in health.own.items()],
        ),
        Family(
            "photogenic_last_build_success",
            "Whether the last build ended well or is running.",
            "gauge",
            [({}, last.result in ("done", "running"))] if last is not None else [],
        ),
        Family(
            "photogenic_last_build_timestamp_seconds",
            "When the last build ended, or began if it has not ended, in seconds since 1970.",
            "gauge",
            [({}, dt.datetime.fromisoformat(last.ended_at or last.began_at).timestamp())] if last is not None else [],
        ),
        Family(
            "photogenic_source_read_age_seconds",
            "Seconds since a source was read to its end, or a stream's position was written.",
            "gauge",
            [({"source": one.name}, _seconds(now, one.synced_at or one.written_at)) for one in health.sources],
        ),
        Family(
            "photogenic_source_position_age_seconds",
            "Seconds since the newest watermark of a source, if it is a time.",
            "gauge",
            [
                ({"source": one.name}, _seconds(now, one.watermark_at))
                for one in health.sources
                if one.watermark_at is not None
            ],
        ),
        Family(
            "photogenic_ingested_rows_total",
            "Rows of files by kind and outcome.",
            "counter",
            [({"kind": kind, "outcome": outcome}, n) for (kind, outcome), n in health.outcomes.items()],
        ),
        Family(
            "photogenic_refused_rows_total",
            "Refused rows by kind and reason.",
            "counter",
            [({"kind": kind, "reason": reason}, n) for (kind, reason), n in health.refused.items()],
        ),
    ]


def stream_families(listeners: Sequence[Mapping[str, Any]]) -> list[Family]:
    """Return the metrics of the listeners of streams, as `ingest.streams.listeners.read_listeners` gives them."""
    of = [({"source": one["source"]}, one) for one in listeners]
    if not of:
        return []
    return [
        Family(
            "photogenic_stream_up",
            "Whether a process listens to the stream.",
            "gauge",
            [(labels, one["process"] is not None) for labels, one in of],
        ),
        Family(
            "photogenic_stream_connected",
            "Whether the broker answers the listener.",
            "gauge",
            [
                (labels, one["process"] is not None and one["state"] in {"reading", "waiting for the writer"})
                for labels, one in of
            ],
        ),
        Family(
            "photogenic_stream_lag",
            "Messages that the broker has and the store has not, as the listener saw it last.",
            "gauge",
            [
                ({**labels, "partition": part}, lag)
                for labels, one in of
                for part, lag in sorted(one["partitions"].items(), key=lambda pair: int(pair[0]))
            ],
        ),
        Family(
            "photogenic_stream_events_total",
            "Messages that were written since the listener started, by outcome.",
            "counter",
            [
                ({**labels, "outcome": outcome}, n)
                for labels, one in of
                for outcome, n in (("taken", one["n_events"] - one["n_refused"]), ("refused", one["n_refused"]))
            ],
        ),
        Family(
            "photogenic_stream_reported_timestamp_seconds",
            "When the listener last reported its state, in seconds since 1970.",
            "gauge",
            [(labels, one["reported_at"]) for labels, one in of],
        ),
        Family(
            "photogenic_stream_written_timestamp_seconds",
            "When a batch was written last, in seconds since 1970.",
            "gauge",
            [(labels, one["written_at"]) for labels, one in of if one["written_at"] is not None],
        ),
    ]


def _gauge(name: str, says: str, value: float) -> Family:
    return Family(name, says, "gauge", [({}, value)])


def _seconds(now: dt.datetime, then: dt.datetime) -> float:
    return max((now - then).total_seconds(), 0.0)

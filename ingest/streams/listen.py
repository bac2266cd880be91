"""Listen to a topic of Kafka, and take in its events in small batches, each exactly once.

Steps of `listen`:
1. hold the lock of this topic and store, and connect to the broker;
2. begin where the store stands, or, at the first start, where the caller says; that is written at once;
3. collect messages until there are enough of them, or they have waited long enough;
4. make sure that the topic is still the same one: one that was created again has other messages at the same offsets;
5. write the batch like a file, with the offsets that it reaches in the same transaction, while the next is collected;
6. publish now and then: readers see events some seconds later, and the writer's lock is free between two batches.

A listener that is killed at any moment continues at the offsets of the last transaction. A signal ends it after the
batch that it holds is written.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from photogenic.ingest.readers.input_files import Spool
from photogenic.ingest.sources.positions import Position, write_positions
from photogenic.ingest.streams.address import Address, read_properties
from photogenic.ingest.streams.avro import Decoder
from photogenic.ingest.streams.batch import Batch
from photogenic.ingest.streams.listeners import ListenerState, listening, report_state
from photogenic.ingest.streams.options import ListenOptions
from photogenic.ingest.streams.start import created_again, start_of, stored
from photogenic.ingest.streams.topic import AwayError, Topic
from photogenic.ingest.tabular.load import ingest
from photogenic.ingest.tabular.mapping_file import Given
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import Kind, table_of
from photogenic.warehouse import Store
from photogenic.warehouse.errors import LockedError, NetworkError
from photogenic.warehouse.progress import no_progress
from photogenic.warehouse.storage.lock import holder

__all__ = ["ListenReport", "listen"]

T = TypeVar("T")

_COMMAND = "features listen"
_AT_ONCE = 10_000
"""Messages that are fetched from the client at once."""

_TURN_S = 0.2
_REPORT_S = 2.0
_LOOK_S = 5.0
"""Seconds between two looks at the topic: whether it has more partitions, and whether the broker answers."""

_FREE_S = 0.15
"""Seconds for which the writer's lock is free between two batches. Others try to get it 20 times a second."""

_PATIENCE_S = 60.0
"""Seconds for which a run that stops at the end waits for a broker."""


@dataclass(slots=True)
class ListenReport:
    """What a listener took in.

    Attributes:
        source: address of the topic.
        kind: kind of the rows.
        n_batches: number of batches.
        n_read: number of messages.
        n_new, n_corrected, n_retracted, n_known: messages by outcome, as in the report of a file.
        refused: number of the other messages by reason; each is in `rejects` with its partition and offset.
        duration_s: seconds that it ran.
        signal: number of the signal that ended it; None: it ended by itself.
    """

    source: str
    kind: Kind
    n_batches: int = 0
    n_read: int = 0
    n_new: int = 0
    n_corrected: int = 0
    n_retracted: int = 0
    n_known: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    duration_s: float = 0.0
    signal: int | None = None

    @property
    def n_refused(self) -> int:
        """Number of messages that are in `rejects`."""
        return self.refused.total()

    def add(self, one: IngestReport) -> None:
        """Add the report of a batch."""
        self.n_batches += 1
        for name in ("n_read", "n_new", "n_corrected", "n_retracted", "n_known"):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        self.refused.update(one.refused)


def listen(
    store: Store,
    uri: str,
    kind: str,
    options: ListenOptions | None = None,
    *,
    mapping: Given = None,
    images: Path | None = None,
) -> ListenReport:
    """Take in the events of a topic until a signal ends it, or the end is reached.

    Args:
        store: the open store.
        uri: address of the topic: `kafka://HOST:PORT/TOPIC`.
        kind: kind of the rows: users, photos, main_photos, swipes.
        options: where to begin and when to stop, and sizes of batches.
        mapping: mapping of columns and values: `mapping_file.mapping_of` reads it.
        images: for photos: folder that `path` is relative to.

    Raises:
        InputError: the address, an option or the topic cannot be used; or the broker has no longer what follows.
        LockedError: another process listens to the topic for this store.
        MissingPartError: the client of Kafka is not installed.
        NetworkError: the broker refuses the client; or it did not answer before the end was reached.
        StoreError: the store was replaced by another state of it meanwhile.
    """
    options = options or ListenOptions()
    start = start_of(options.start)
    address, table = Address.of(uri), table_of(kind)
    properties = read_properties(options.client_config)
    decoder = Decoder(options.schema) if options.schema else None
    state = ListenerState(str(address), table.kind)
    with contextlib.ExitStack() as stack:
        topic = Topic(address, properties, f"photogenic-{table.kind}", store.progress.note)
        stack.callback(topic.close)
        stack.enter_context(listening(store.layout, address, state))
        stop = stack.enter_context(_stopping())
        advance = stack.enter_context(store.progress.stage(table.kind, None, "events"))
        pool = stack.enter_context(ThreadPoolExecutor(1, "writer"))
        listener = _Listener(store, table.kind, options, mapping, images, topic, state, stop, decoder)
        return listener.run(start, pool, advance)


class _Stop:
    """Whether to stop: set by a signal."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None


class _StoppedError(Exception):
    """A signal came while there was nothing to finish."""


@dataclass(slots=True)
class _Listener:
    """One run of a listener."""

    store: Store
    kind: Kind
    options: ListenOptions
    mapping: Given
    images: Path | None
    topic: Topic
    state: ListenerState
    stop: _Stop
    decoder: Decoder | None
    topic_id: str | None = None
    held: dict[int, Any] = field(default_factory=dict)
    """Position of each partition in the store."""
    is_known: bool = False
    """Whether events of the topic were taken in before."""
    ends: dict[int, int] = field(default_factory=dict)
    """Offset after the last message of each partition at the start."""
    is_pending: bool = True
    """Whether the snapshot may lack batches that were written."""
    published_at: float = 0.0
    publication_s: float = 0.0
    free_since: float = 0.0
    reported_at: float = 0.0
    looked_at: float = 0.0

    def run(self, start: str | int, pool: ThreadPoolExecutor, advance: Callable[[int], None]) -> ListenReport:
        """Listen, and return what came."""
        began, report = time.monotonic(), ListenReport(str(self.topic.address), self.kind)
        try:
            self._begin(start)
            self._listen(pool, report, advance)
        except _StoppedError:
            pass
        report.duration_s, report.signal = time.monotonic() - began, self.stop.number
        return report

    def _begin(self, start: str | int) -> None:
        """Find out where the store stands in each partition, and write where it begins in the others."""
        parts, self.topic_id = self._asked(lambda: (self.topic.partitions(), self.topic.topic_id()))
        with self._writing() as con:
            source = str(self.topic.address)
            known = stored(con, source, self.topic_id, forget=self.options.start_over)
            self.is_known = bool(
                con.execute("select 1 from facts.ingests where source = $1 limit 1", [source]).fetchall()
            )
        self.held = {int(part): value for part, value in known.items()}
        new = [part for part in parts if part not in self.held]
        if new:
            # Partitions that were added since the last run hold nothing that came before it.
            first = self._asked(lambda: self.topic.first_offsets(new, "earliest" if self.held else start))
            self._write_first(first)
        self.topic.assign({part: self.held[part]["next"] for part in parts})

    def _write_first(self, first: dict[int, int]) -> None:
        """Write the offsets at which partitions begin."""
        values = self._values(first)
        source = str(self.topic.address)
        with self._writing() as con:
            con.begin()
            [(now,)] = con.execute("select cast(now() at time zone 'UTC' as timestamp)").fetchall()
            write_positions(con, [Position(source, str(part), value) for part, value in values.items()], now)
            con.commit()
        self.held |= values

    def _values(self, offsets: dict[int, int]) -> dict[int, Any]:
        """Return the position of each partition for its next offset."""
        return {part: {"next": offset, "topic": self.topic_id} for part, offset in offsets.items()}

    def _listen(self, pool: ThreadPoolExecutor, report: ListenReport, advance: Callable[[int], None]) -> None:
        batch, load = Batch(self.decoder), None
        read_to = {part: value["next"] for part, value in self.held.items()}
        while True:
            if load is not None and load.done():
                self._finish(load, report, advance)
                load = None
            if self._has_room(batch) and not self.stop:
                n = min(_AT_ONCE, self.options.batch_rows - len(batch))
                messages = [one for one in self.topic.read(n, _TURN_S) if one.offset >= read_to.get(one.part, 0)]
                batch.add(messages)
                read_to |= batch.next
            else:
                time.sleep(_TURN_S / 4)
            at_end = self.options.until_end and self._is_at_end(read_to)
            if load is None and batch and (at_end or self.stop or self._is_due(batch)) and self._is_same_topic():
                load = pool.submit(self._load, batch)
                batch = Batch(self.decoder)
            elif load is None and not batch and self._is_publication_due():
                load = pool.submit(self._publish)
            self._look(batch, read_to)
            if load is None and (self.stop or (at_end and not batch)):
                break
        pool.submit(self._publish).result()
        self._report()

    def _has_room(self, batch: Batch) -> bool:
        return len(batch) < self.options.batch_rows and batch.size < self.options.batch_bytes

    def _is_due(self, batch: Batch) -> bool:
        return not self._has_room(batch) or time.monotonic() - batch.since >= self.options.batch_seconds

    def _is_publication_due(self) -> bool:
        """Whether written events have waited long enough. A large store takes longer, and is published less often."""
        every = max(self.options.publish_seconds, 10 * self.publication_s)
        return self.is_pending and time.monotonic() - self.published_at >= every

    def _is_at_end(self, read_to: dict[int, int]) -> bool:
        """Whether all messages that were there at the start are read."""
        for part, end in self.topic.ends().items():
            self.ends.setdefault(part, end)
        if self.topic.away_since is not None and time.monotonic() - self.topic.away_since > _PATIENCE_S:
            raise NetworkError(
                f"{self.topic.address}: the broker does not answer since {_PATIENCE_S:.0f} s.",
                "a broker that answers; what was read is kept",
                "the same command again",
            )
        reached = self.topic.reached
        return self.held.keys() <= self.ends.keys() and all(
            max(read_to.get(part, 0), reached.get(part, 0)) >= end for part, end in self.ends.items()
        )

    def _is_same_topic(self) -> bool:
        """Whether the broker says that the messages are of the topic of which the store holds offsets. False: it does
        not answer now.

        Raises:
            InputError: the topic was created again.
        """
        try:
            now = self.topic.topic_id()
        except AwayError:
            self.topic.gone()
            return False
        if now is not None and self.topic_id is not None and now != self.topic_id:
            raise created_again(str(self.topic.address))
        return True

    def _look(self, batch: Batch, read_to: dict[int, int]) -> None:
        """Look at the topic now and then, and report to other processes how far this one is."""
        now = time.monotonic()
        if now - self.looked_at >= (_LOOK_S if self.topic.away_since is None else 1.0):
            self.looked_at = now
            try:
                new = [part for part in self.topic.partitions() if part not in self.held]
                if new and self._is_same_topic():
                    self._write_first(self.topic.first_offsets(new, "earliest"))
                    read_to |= {part: self.held[part]["next"] for part in new}
                    self.topic.assign(read_to)
            except AwayError:
                self.topic.gone()
        if now - self.reported_at >= _REPORT_S:
            self.reported_at = now
            if self.state.state != "waiting for the writer":
                self.state.state = "reading" if self.topic.away_since is None else "broker away"
            self._report(batch)

    def _report(self, batch: Batch | None = None) -> None:
        ends, reached = self.topic.ends(), self.topic.reached
        self.state.lag = {
            str(part): max(ends[part] - value["next"], 0)
            if (batch and part in batch.next) or reached.get(part, -1) < ends[part]
            else 0
            for part, value in sorted(self.held.items())
            if part in ends
        }
        report_state(self.store.layout, self.topic.address, self.state)

    def _load(self, batch: Batch) -> tuple[IngestReport, dict[int, Any]] | None:
        """Write a batch, in the thread that writes; None: a signal came while another process was writing."""
        time.sleep(max(self.free_since + _FREE_S - time.monotonic(), 0.0))
        source = str(self.topic.address)
        values = self._values(batch.next)
        positions = tuple(
            Position(source, str(part), value, former=self.held.get(part)) for part, value in values.items()
        )
        with Spool(self.store.layout.spill) as spool:
            file = batch.write(spool, source, positions, is_lenient=self.is_known)
            store = self.store.reporting_to(no_progress)
            try:
                [report] = self._when_free(
                    lambda: ingest(store, self.kind, [file], mapping=self.mapping, images=self.images, publish=False)
                )
            except _StoppedError:
                return None
        self.free_since, self.is_pending = time.monotonic(), True
        if self._is_publication_due():
            self._publish()
        return report, values

    def _publish(self) -> None:
        """Publish what was written, in the thread that writes."""
        began = time.monotonic()
        with contextlib.suppress(_StoppedError), self._locked():
            if self.is_pending and self.store.layout.warehouse.exists():
                self.store.database.publish()
            self.is_pending = False
        self.published_at = self.free_since = time.monotonic()
        self.publication_s = self.published_at - began

    def _finish(self, load: Future[Any], report: ListenReport, advance: Callable[[int], None]) -> None:
        """Count a batch that was written, and commit its offsets at the broker."""
        if (done := load.result()) is None:
            return
        one, values = done
        report.add(one)
        advance(one.n_read)
        self.held |= values
        self.is_known = self.is_known or one.n_read > one.n_refused
        self.state.n_events, self.state.n_refused = report.n_read, report.n_refused
        self.state.state, self.state.written_at = "reading", time.time()
        self.topic.commit({part: value["next"] for part, value in values.items()})

    def _asked(self, ask: Callable[[], T]) -> T:
        """Ask the broker, again and again while it does not answer."""
        pause, since = 0.25, time.monotonic()
        while True:
            try:
                return ask()
            except AwayError as error:
                self.topic.gone()
                if self.options.until_end and time.monotonic() - since > _PATIENCE_S:
                    raise NetworkError(
                        f"{self.topic.address}: the broker does not answer: {error}",
                        "a broker that answers",
                        "the same command again",
                    ) from error
            self.state.state = "broker away"
            self._report()
            until = time.monotonic() + pause
            while time.monotonic() < until:
                if self.stop:
                    raise _StoppedError
                self.topic.read(1, _TURN_S)
            pause = min(2 * pause, 5.0)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._locked(), self.store.database.write(_COMMAND, publish=False) as con:
            yield con

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the writer's lock, however long another process takes."""
        with contextlib.ExitStack() as stack:
            self._when_free(lambda: stack.enter_context(self.store.database.lock(_COMMAND)))
            yield

    def _when_free(self, write: Callable[[], T]) -> T:
        """Write once no other process does.

        Raises:
            _StoppedError: a signal came first.
        """
        said = False
        while True:
            if (who := holder(self.store.layout.lock)) is None:
                try:
                    return write()
                except LockedError:
                    continue
            if self.stop:
                raise _StoppedError
            if not said:
                said, self.state.state = True, "waiting for the writer"
                self.store.progress.note(f"Waiting for {who} to end its write.")
            time.sleep(_TURN_S / 4)


@contextlib.contextmanager
def _stopping() -> Iterator[_Stop]:
    """Yield what SIGINT and SIGTERM set, in place of ending the process. Only the main thread receives signals."""
    stop = _Stop()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.number = number

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

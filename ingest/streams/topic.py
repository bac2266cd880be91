"""One topic of a Kafka broker, read partition by partition from the offsets that the store holds.

The client is librdkafka (the package confluent-kafka). It fetches ahead in threads of its own, within a bound, connects
again by itself, and never chooses an offset: one that the broker does not have is an error here.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from photogenic.ingest.streams.address import Address
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import MissingPartError, NetworkError

__all__ = ["AwayError", "Message", "Topic"]

_REQUEST_S = 5.0
_UNKNOWN_S = 10.0
"""Time for which a broker may not know a topic: after a start it may not have read its own state yet."""

_FETCH_BYTES = 16 << 20
_QUEUE_KB = 32 << 10

_log = logging.getLogger(__name__)


class AwayError(Exception):
    """The broker does not answer now."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its partition, its offset, and its value; None: it has none."""

    part: int
    offset: int
    value: bytes | None


class Topic:
    """A topic of a broker.

    Args:
        address: address of the topic.
        properties: properties of the client, as the user gives them.
        group: name under which offsets are committed at the broker, for tools that show the lag.
        say: callback for messages.

    Attributes:
        away_since: when the broker stopped answering, on the clock of `time.monotonic`; None: it answers.
        reached: the end of each partition that was reached last. After messages there may be marks of transactions.

    Raises:
        InputError: a property is unknown or has no such value.
        MissingPartError: the package confluent-kafka is not installed.
    """

    def __init__(self, address: Address, properties: Mapping[str, str], group: str, say: Callable[[str], None]) -> None:
        try:
            confluent_kafka: Any = importlib.import_module("confluent_kafka")
            admin: Any = importlib.import_module("confluent_kafka.admin")
        except ModuleNotFoundError as error:
            raise MissingPartError(
                "Streams of Kafka need the package confluent-kafka.",
                "the extra kafka",
                "pip install 'photogenic[kafka]'",
            ) from error
        self._kafka: Any = confluent_kafka
        self.address, self._say = address, say
        self.away_since: float | None = None
        self._why, self._fatal, self._is_away_noted = "", "", False
        self._unknown_since: float | None = None
        self._has_id = True
        self._at: dict[int, int] = {}
        self.reached: dict[int, int] = {}
        common: dict[str, Any] = {
            "socket.timeout.ms": 15_000,
            "reconnect.backoff.max.ms": 3_000,
            "client.id": "photogenic",
            "receive.message.max.bytes": 128 << 20,
            **properties,
            "bootstrap.servers": address.brokers,
        }
        reading: dict[str, Any] = {
            "group.id": group,
            "fetch.max.bytes": _FETCH_BYTES,
            "max.partition.fetch.bytes": _FETCH_BYTES // 4,
            "queued.max.messages.kbytes": _QUEUE_KB,
            "fetch.wait.max.ms": 250,
            **common,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "check.crcs": True,
            "error_cb": self._receive,
        }
        own = {name: value for name, value in common.items() if name not in _OF_CONSUMERS}
        try:
            self._consumer: Any = confluent_kafka.Consumer(reading, logger=_silent())
            self._admin: Any = admin.AdminClient(own, logger=_silent())
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise InputError(
                f"The properties of the client cannot be used: {_without_secrets(str(error), properties)}",
                "properties of librdkafka",
                "--client-config FILE with other lines",
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions.

        Raises:
            AwayError: the broker does not answer.
            InputError: it has no such topic, or may not show it.
        """
        try:
            found = self._consumer.list_topics(self.address.topic, timeout=_REQUEST_S).topics[self.address.topic]
        except self._kafka.KafkaException as error:
            raise self._failure(error.args[0]) from error
        if found.error is not None:
            raise self._failure(found.error)
        self._unknown_since = None
        self._answered()
        return sorted(found.partitions)

    def topic_id(self) -> str | None:
        """Return the id of the topic, which another topic of this name does not have; None: the broker gives no ids.

        Raises:
            AwayError: the broker does not answer.
            InputError: it has no such topic.
        """
        if not self._has_id:
            return None
        asked = self._admin.describe_topics(
            self._kafka.TopicCollection([self.address.topic]), request_timeout=_REQUEST_S
        )[self.address.topic]
        try:
            found = str(asked.result(_REQUEST_S + 1).topic_id)
        except self._kafka.KafkaException as error:
            if error.args[0].code() in {
                self._kafka.KafkaError._UNSUPPORTED_FEATURE,
                self._kafka.KafkaError.UNSUPPORTED_VERSION,
            }:
                self._has_id = False
                return None
            raise self._failure(error.args[0]) from error
        except TimeoutError as error:
            raise AwayError(str(error)) from error
        self._unknown_since = None
        self._answered()
        if not found.strip("A"):  # sixteen zero bytes: a topic of a broker before ids
            self._has_id = False
            return None
        return found

    def first_offsets(self, parts: list[int], start: str | int) -> dict[int, int]:
        """Return the offsets at which a first start begins.

        Args:
            parts: the partitions.
            start: earliest, latest, or milliseconds since 1970.

        Raises:
            AwayError: the broker does not answer.
        """
        kafka, topic = self._kafka, self.address.topic
        try:
            ends = {
                part: self._consumer.get_watermark_offsets(kafka.TopicPartition(topic, part), timeout=_REQUEST_S)
                for part in parts
            }
            if None in ends.values():
                raise AwayError("no answer")
            if isinstance(start, str):
                return {part: ends[part][start == "latest"] for part in parts}
            asked = [kafka.TopicPartition(topic, part, start) for part in parts]
            found = self._consumer.offsets_for_times(asked, timeout=_REQUEST_S)
            return {one.partition: one.offset if one.offset >= 0 else ends[one.partition][1] for one in found}
        except kafka.KafkaException as error:
            raise self._failure(error.args[0]) from error

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Read from these offsets, of all partitions from now on."""
        self._at = dict(offsets)
        at = [self._kafka.TopicPartition(self.address.topic, part, offset) for part, offset in offsets.items()]
        self._consumer.assign(at)

    def read(self, n: int, timeout_s: float) -> list[Message]:
        """Return up to n further messages, as soon as there are any.

        Raises:
            InputError: the broker does not have the next offset, or its data cannot be read.
            NetworkError: the broker refuses this client.
        """
        got = self._consumer.consume(1, timeout_s)
        got += self._consumer.consume(n - 1, 0.0) if got and n > 1 else []
        if self._fatal:
            raise NetworkError(
                f"{self.address}: the broker refuses this client: {self._fatal}",
                "a user, a password and certificates that the broker knows",
                "--client-config FILE with security.protocol, sasl.mechanism, sasl.username and sasl.password",
            )
        found = []
        for one in got:
            if (error := one.error()) is not None:
                if error.code() == self._kafka.KafkaError._PARTITION_EOF:
                    self.reached[one.partition()] = one.offset()
                elif not self._passes(error):
                    raise self._unreadable(error, one)
                continue
            found.append(Message(one.partition(), one.offset(), one.value()))
        if found:
            self._unknown_since = None
            self._answered()
        return found

    def ends(self) -> dict[int, int]:
        """Return the offset after the last message of each partition, as the last fetch gave it."""
        found = {}
        for part in self._at:
            at = self._kafka.TopicPartition(self.address.topic, part)
            _, end = self._consumer.get_watermark_offsets(at, cached=True)
            if end >= 0:
                found[part] = end
        return found

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the broker how far the store is, for tools that show the lag. Nothing depends on it."""
        at = [self._kafka.TopicPartition(self.address.topic, part, offset) for part, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=at, asynchronous=True)
        except self._kafka.KafkaException as error:
            _log.debug("offsets were not committed: %s", error)

    def gone(self) -> None:
        """Note that the broker does not answer, and say it once."""
        if self.away_since is None:
            self.away_since = time.monotonic()
        if not self._is_away_noted:
            self._is_away_noted = True
            self._say(f"{self.address}: the broker does not answer{self._why and f' ({self._why})'}; trying again.")

    def _answered(self) -> None:
        if self._is_away_noted and self.away_since is not None:
            self._say(f"{self.address}: the broker answers again, after {time.monotonic() - self.away_since:.0f} s.")
        self.away_since, self._is_away_noted, self._why = None, False, ""

    def _receive(self, error: Any) -> None:
        """Receive an error of the connection, which the client handles."""
        kafka = self._kafka.KafkaError
        refused = {kafka._AUTHENTICATION, kafka.SASL_AUTHENTICATION_FAILED, kafka.TOPIC_AUTHORIZATION_FAILED}
        if error.code() in refused or error.fatal():
            self._fatal = error.str()
        elif error.code() == kafka._ALL_BROKERS_DOWN:
            self.away_since = self.away_since or time.monotonic()
        else:
            self._why = error.str().partition(": ")[2][:200] or error.str()[:200]

    def _passes(self, error: Any) -> bool:
        """Whether an error in the place of a message goes away by itself."""
        kafka = self._kafka.KafkaError
        if error.code() in {kafka.UNKNOWN_TOPIC_OR_PART, kafka._UNKNOWN_TOPIC, kafka._UNKNOWN_PARTITION}:
            self._unknown_since = self._unknown_since or time.monotonic()
            return time.monotonic() - self._unknown_since < _UNKNOWN_S
        return bool(error.retriable() or error.code() in {kafka._TRANSPORT, kafka._ALL_BROKERS_DOWN, kafka._TIMED_OUT})

    def _failure(self, error: Any) -> Exception:
        """Return the error of a request."""
        kafka = self._kafka.KafkaError
        unknown = {kafka.UNKNOWN_TOPIC_OR_PART, kafka._UNKNOWN_TOPIC}
        if error.code() in unknown:
            self._unknown_since = self._unknown_since or time.monotonic()
            if time.monotonic() - self._unknown_since < _UNKNOWN_S and self._at:
                return AwayError(error.str())
            return self._absent()
        if error.code() in {kafka.TOPIC_AUTHORIZATION_FAILED, kafka._AUTHENTICATION, kafka.SASL_AUTHENTICATION_FAILED}:
            return NetworkError(
                f"{self.address}: the broker refuses this client: {error.str()}",
                "a user that may read the topic",
                "--client-config FILE with its properties",
            )
        if error.code() == kafka.TOPIC_EXCEPTION:
            return InputError(f"{self.address}: {error.str()}", "the name of a topic", "kafka-topics --list")
        return AwayError(error.str())

    def _absent(self) -> InputError:
        return InputError(
            f"The broker {self.address.brokers} has no topic {self.address.topic!r}.",
            "a topic that exists; a listener makes none",
            f"kafka-topics --bootstrap-server {self.address.brokers} --list",
        )

    def _unreadable(self, error: Any, message: Any) -> Exception:
        """Return the error for a place in the topic that cannot be read."""
        kafka, part = self._kafka.KafkaError, message.partition()
        at = self._at.get(part, message.offset())
        if error.code() in {kafka.UNKNOWN_TOPIC_OR_PART, kafka._UNKNOWN_TOPIC, kafka._UNKNOWN_PARTITION}:
            return self._absent()
        if error.code() in {kafka._AUTO_OFFSET_RESET, kafka.OFFSET_OUT_OF_RANGE}:
            return self.out_of_range(part, at)
        if error.code() == kafka.TOPIC_AUTHORIZATION_FAILED:
            return self._failure(error)
        return NetworkError(
            f"{self.address}, partition {part}, from offset {message.offset()}: what the broker sends cannot be read: "
            f"{error.str()}",
            "messages that the client can read; nothing was skipped",
            "the same command again; if it fails again, the data of the broker is damaged there, or needs a larger "
            "receive.message.max.bytes in the file of --client-config",
        )

    def out_of_range(self, part: int, at: int) -> InputError:
        """Return the error for an offset that the broker does not have."""
        try:
            one = self._kafka.TopicPartition(self.address.topic, part)
            span: tuple[int, int] | None = self._consumer.get_watermark_offsets(one, timeout=_REQUEST_S)
        except self._kafka.KafkaException:
            span = None
        first, end = span or (0, 0)
        if span is None:
            what = "which the broker does not have"
        elif at < first:
            what = f"and the broker begins at {first:,}: {first - at:,} messages were deleted before they were read"
        else:
            what = f"and the broker ends at {end:,}: it has lost messages, or it is another broker"
        return InputError(
            f"{self.address}, partition {part}: the store continues at offset {at:,}, {what}.",
            "a broker that keeps messages until they are read",
            "features listen ... --start-over --from earliest reads what the broker still has; bring what is lost by "
            "features ingest",
        )


_OF_CONSUMERS = {
    *("check.crcs", "fetch.error.backoff.ms", "fetch.max.bytes", "fetch.message.max.bytes", "fetch.min.bytes"),
    *("fetch.queue.backoff.ms", "fetch.wait.max.ms", "group.id", "group.protocol", "isolation.level"),
    *("heartbeat.interval.ms", "max.partition.fetch.bytes", "max.poll.interval.ms", "queued.max.messages.kbytes"),
    *("queued.min.messages", "session.timeout.ms"),
}
"""Properties of consumers, at which other clients would warn."""


def _silent() -> logging.Logger:
    """A logger that prints nothing: what matters is said by callbacks, once."""
    logger = logging.getLogger("photogenic.ingest.streams.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    return logger


def _without_secrets(text: str, properties: Mapping[str, str]) -> str:
    """Remove the values of the user's properties from a message of the client."""
    for value in sorted(filter(None, properties.values()), key=len, reverse=True):
        text = text.replace(value, "...")
    return text

"""The address of a topic, and the file of the client's properties. No secret is in either's text that is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from photogenic.ingest.readers.input_files import printable_name, shell_quoted
from photogenic.warehouse import InputError

__all__ = ["Address", "read_properties"]

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_EXAMPLE = "features listen kafka://broker:9092/swipes --kind swipes"
_MOST_BYTES = 1 << 20

_OURS = (
    *("auto.offset.reset", "bootstrap.servers", "check.crcs", "enable.auto.commit", "enable.auto.offset.store"),
    *("enable.partition.eof", "group.instance.id", "metadata.broker.list"),
)
"""Properties that the listener sets: how events are counted depends on them."""

_OF_JAVA = {
    "sasl.jaas.config": "sasl.username and sasl.password",
    "ssl.truststore.location": "ssl.ca.location, a file of PEM",
    "ssl.keystore.location": "ssl.certificate.location and ssl.key.location, files of PEM",
}
"""Properties of Java's client that librdkafka has not, and those to use."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of one topic.

    Attributes:
        brokers: host:port, separated by commas.
        topic: name of the topic.
    """

    brokers: str
    topic: str

    def __str__(self) -> str:
        return f"kafka://{self.brokers}/{self.topic}"

    @classmethod
    def of(cls, uri: str) -> Address:
        """Read an address such as `kafka://broker-1:9092,broker-2:9092/swipes`.

        Raises:
            InputError: it is not the address of a topic, or it holds a password.
        """
        scheme, marked, rest = uri.partition("://")
        if not marked or scheme.lower() != "kafka":
            shown = printable_name(uri) if "@" not in uri else "..."
            raise InputError(f"The address {shown!r} is not that of a topic.", "kafka://HOST:PORT/TOPIC", _EXAMPLE)
        if "@" in rest:
            raise InputError(
                "The address of the topic holds a user or a password, which other programs could read there.",
                "kafka://HOST:PORT/TOPIC, and the password in a file",
                "--client-config FILE, with sasl.username and sasl.password in the file",
            )
        hosts, _, topic = rest.partition("/")
        found = [_HOST.fullmatch(host) for host in hosts.split(",")]
        if not all(found) or any(one is not None and one[2] and not 0 < int(one[2]) < 65536 for one in found):
            raise InputError(
                f"{printable_name(hosts)!r} is not a list of brokers.",
                "HOST:PORT, or several separated by commas",
                _EXAMPLE,
            )
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise InputError(
                f"{printable_name(topic[:300])!r} is not the name of a topic.",
                "letters, digits, dots, hyphens and underscores, at most 249",
                _EXAMPLE,
            )
        brokers = ",".join(f"{one[1].lower()}:{one[2] or 9092}" for one in found if one is not None)
        return cls(brokers, topic)


def read_properties(path: Path | None) -> dict[str, str]:
    """Read a file of properties: `name=value` on each line; lines that begin with `#` are comments.

    Raises:
        InputError: it cannot be read, or sets what the listener sets. No value of it is in the message.
    """
    if path is None:
        return {}
    name = printable_name(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1).decode()
    except OSError as error:
        raise InputError(
            f"{name} cannot be read: {error.strerror}.", "a file of properties", f"ls -l {shell_quoted(path)}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8.", "a file of properties: name=value", "--client-config FILE") from error
    if len(text) > _MOST_BYTES:
        raise InputError(f"{name} is over 1 MB.", "a file of properties: name=value", "--client-config FILE")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "!")):
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        where = f"{name}, line {number}"
        if not equals or not re.fullmatch(r"[a-z0-9._]+", key):
            raise InputError(f"{where} is not a property.", "name=value", "sasl.username=photogenic")
        if key in _OF_JAVA:
            raise InputError(f"{where}: {key} is of the Java client.", _OF_JAVA[key], "--client-config FILE")
        if key in _OURS:
            raise InputError(
                f"{where}: {key} cannot be set.",
                "the brokers in the address; offsets are kept in the store",
                "remove the line",
            )
        if key in found:
            raise InputError(f"{where}: {key} is there twice.", "each property once", "remove one of the lines")
        found[key] = value
    return found

"""Limits for memory, threads and lock time of a store, and its encoder for searches, from the environment or a file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.processes.threads import available_cores
from photogenic.warehouse.user_modules import user_modules

__all__ = ["Settings", "check_environment", "default_store"]

_SIZE = re.compile(r" *(\d+(?:\.\d+)?|\.\d+) *([KMGT]I?B|[KMGT]|B|%) *", re.ASCII | re.IGNORECASE)
_LEAST_BYTES, _MOST_BYTES = 10**6, 2**60
_MOST_THREADS = 1024
_MOST_S = 10.0**9


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of DuckDB and of the writer's lock, and the encoder that searches take.

    Attributes:
        memory_limit: DuckDB's buffer memory, e.g. `3GB` or `500MiB`; the process takes about 1 GB more.
        threads: number of worker threads of SQL, decoding, search and training.
        lock_timeout_s: seconds that a second writer waits for the lock.
        relation_timeout_s: seconds after which the computation of one relation of the user's own is stopped.
        encoder: encoder that a search takes if it names none; None: the first default one that has an index.

    Raises:
        InputError: a value is out of its range.
    """

    memory_limit: str
    threads: int
    lock_timeout_s: float = 60.0
    relation_timeout_s: float = 600.0
    encoder: str | None = None

    def __post_init__(self) -> None:
        _refuse_memory("memory_limit", self.memory_limit, "Settings(memory_limit='3GB')")
        is_whole = isinstance(self.threads, int) and not isinstance(self.threads, bool)
        if not is_whole or not 1 <= self.threads <= _MOST_THREADS:
            raise InputError(f"threads is {self.threads!r}.", _WHOLE, "Settings(threads=2)")
        if not isinstance(self.lock_timeout_s, (int, float)) or not 0 <= self.lock_timeout_s <= _MOST_S:
            raise InputError(f"lock_timeout_s is {self.lock_timeout_s!r}.", _SECONDS, "Settings(lock_timeout_s=60)")
        if not isinstance(self.relation_timeout_s, (int, float)) or not 0 < self.relation_timeout_s <= _MOST_S:
            raise InputError(
                f"relation_timeout_s is {self.relation_timeout_s!r}.", _SECONDS, "Settings(relation_timeout_s=600)"
            )

        _refuse_encoder("encoder", self.encoder, "Settings(encoder='dlib_face')")

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        match = _SIZE.fullmatch(self.memory_limit)
        assert match is not None, "checked when the settings were made"
        return int(_bytes_of(match))

    @classmethod
    def from_environment(cls, below: Mapping[str, Any] | None = None) -> Settings:
        """Read `FEATURES_MEMORY_LIMIT`, `_THREADS`, `_LOCK_TIMEOUT`, `_RELATION_TIMEOUT` and `_ENCODER`, else defaults.

        Args:
            below: values for variables that are not set: those of [settings] in `photogenic.toml`.

        Raises:
            InputError: a variable has an invalid value.
        """
        below = below or {}
        memory, threads = os.environ.get("FEATURES_MEMORY_LIMIT"), _threads()
        lock_s, relation_s = _seconds("FEATURES_LOCK_TIMEOUT"), _seconds("FEATURES_RELATION_TIMEOUT")
        encoder = os.environ.get("FEATURES_ENCODER") or None
        _refuse_encoder("FEATURES_ENCODER", encoder, "unset FEATURES_ENCODER")
        if memory:
            _refuse_memory("FEATURES_MEMORY_LIMIT", memory, "unset FEATURES_MEMORY_LIMIT")
        return cls(
            memory_limit=(memory or below.get("memory_limit") or _quarter_of_memory()).strip(),
            threads=threads or below.get("threads") or min(available_cores(), _MOST_THREADS),
            lock_timeout_s=lock_s if lock_s is not None else below.get("lock_timeout", 60.0),
            relation_timeout_s=relation_s if relation_s is not None else below.get("relation_timeout", 600.0),
            encoder=encoder or below.get("encoder"),
        )


_WHOLE = f"a whole number from 1 to {_MOST_THREADS:,}"
_SECONDS = "a number of seconds, from 0 to 1,000,000,000"


def check_environment(below: Mapping[str, Any] | None = None) -> Settings:
    """Check every environment variable of the program and return the settings.

    Args:
        below: values for variables that are not set.

    Raises:
        InputError: a variable has an invalid value; the message names it.
    """
    settings = Settings.from_environment(below)
    for name, choices in (("FEATURES_GPU", ("0", "1")), ("FEATURES_LOG_FORMAT", ("text", "json"))):
        if (text := os.environ.get(name)) and text not in choices:
            raise InputError(f"{name} is {text!r}.", " or ".join(choices), f"unset {name}")
    if (text := os.environ.get("FEATURES_DEVICE")) and re.fullmatch(r"cpu|cuda(:\d{1,3})?", text) is None:
        raise InputError(f"FEATURES_DEVICE is {text!r}.", "cpu, cuda or cuda:1", "unset FEATURES_DEVICE")
    for name in ("FEATURES_WEIGHTS", "FEATURES_TOKENS"):
        if (text := os.environ.get(name)) and Path(text).exists() and not Path(text).is_dir():
            raise InputError(f"{name} is {text!r}.", "a folder", f"unset {name}")
    for variable, module in user_modules():
        if not all(part.isidentifier() for part in module.split(".")):
            raise InputError(f"{variable} names {module!r}.", "names of Python modules, by commas", f"unset {variable}")
    return settings


def default_store() -> Path:
    """Return the folder of the store: `$FEATURES_STORE`, else `./store`."""
    return Path(os.environ.get("FEATURES_STORE") or "store")


def _threads() -> int | None:
    text = os.environ.get("FEATURES_THREADS")
    if not text:
        return None
    if re.fullmatch(r" *\d{1,9} *", text, re.ASCII) is None or not 1 <= int(text) <= _MOST_THREADS:
        raise InputError(f"FEATURES_THREADS is {text!r}.", _WHOLE, "unset FEATURES_THREADS")
    return int(text)


def _seconds(name: str) -> float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MOST_S:
        raise InputError(f"{name} is {text!r}.", _SECONDS, f"unset {name}")
    return value


def _refuse_encoder(name: str, text: str | None, remedy: str) -> None:
    if text is not None and (
        not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > 200
    ):
        raise InputError(f"{name} is {str(text)[:80]!r}.", "the name of an encoder, such as dlib_face", remedy)


def _refuse_memory(name: str, text: str, remedy: str) -> None:
    """Refuse sizes that DuckDB would misread: it takes -1GB for no limit."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        if match[2] == "%" and 0 < float(match[1]) <= 100:
            return
        if match[2] != "%" and _LEAST_BYTES <= _bytes_of(match) <= _MOST_BYTES:
            return
    raise InputError(
        f"{name} is {text!r}.",
        "a size of at least 1MB, as a number and one of KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB "
        "(powers of 1024), such as 3GB; or a share of the machine's, such as 10%",
        remedy,
    )


def _bytes_of(match: re.Match[str]) -> float:
    """Return the size that `_SIZE` matched in bytes; a share is of the memory of the machine."""
    unit = match[2].upper()
    if unit == "%":
        return float(match[1]) / 100 * _memory_of_machine()
    return float(match[1]) * float((1024 if "I" in unit else 1000) ** "BKMGT".index(unit[0]))


def _memory_of_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _quarter_of_memory() -> str:
    """Return a quarter of the memory of the machine, 1 to 4 GB: enough for 40 million swipes."""
    return f"{min(max(_memory_of_machine() // 4, 10**9), 4 * 10**9) // 10**6}MB"

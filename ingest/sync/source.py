"""One source of `photogenic.toml`, and its definition, with which its position is written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.ingest.tabular.schemas import Kind
from photogenic.warehouse import InputError

__all__ = ["SyncSource"]

_VARIABLE = re.compile(r"\$\{(FEATURES_SOURCE_[A-Z0-9_]+)\}")


@dataclass(frozen=True, slots=True)
class SyncSource:
    """One source.

    Attributes:
        name: its name, that of its position.
        kind: kind of its rows.
        given: paths, globs and addresses, as the file has them.
        mapping: mapping of columns and values.
        images: for photos: folder that paths of pictures start from; None: the folder of each file.
        retract: whether every row takes back what it names.
        query: for a database: the query whose rows are read; None: it is no database.
        watermark: column of the query's result that grows with each change of a row; None: all rows are read.
        lookback: how far below the newest watermark a sync begins; None: the default.
    """

    name: str
    kind: Kind
    given: tuple[str, ...]
    mapping: FileMapping
    images: Path | str | None = None
    retract: bool = False
    query: str | None = None
    watermark: str | None = None
    lookback: str | int | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Paths, globs and addresses, with the values of `${FEATURES_SOURCE_...}`. They may hold secrets.

        Raises:
            InputError: a variable is not set.
        """
        return tuple(_VARIABLE.sub(self._value, one) for one in self.given)

    def _value(self, variable: re.Match[str]) -> str:
        value = os.environ.get(variable[1])
        if not value:
            raise InputError(
                f"The variable {variable[1]} of the source {self.name} is not set.",
                "the address of the source in it",
                f"export {variable[1]}=...",
            )
        return value

    def definition(self) -> dict[str, str]:
        """Digests of what a position depends on, by the key of `photogenic.toml`."""
        parts: dict[str, object] = {"kind": self.kind, "mapping": self.mapping.key(), "retract": self.retract}
        if self.query is not None:
            parts |= {"from": self.given, "query": self.query.strip().rstrip(";").strip(), "watermark": self.watermark}
        return {
            key: hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]
            for key, value in parts.items()
        }

    def changes(self, then: Mapping[str, str]) -> list[str]:
        """The keys of `photogenic.toml` that say something else than when the position was written."""
        now = self.definition()
        return sorted(key for key in {*now, *then} if now.get(key) != then.get(key))

    def refuse_changes(self, then: Mapping[str, str] | None) -> None:
        """Refuse to go on from the position of another definition.

        Args:
            then: definition with which the position was written; None: there is none.

        Raises:
            InputError: the definition is another one.
        """
        changed = self.changes(then) if then is not None else []
        if changed:
            raise InputError(
                f"The source {self.name} has changed since its position was written: {', '.join(changed)}.",
                "the definition of then, or a decision: rows below the position may be others now",
                f"features sync {self.name} --from-start {self.name} reads all of it again (known rows stay known); "
                f"--keep-position {self.name} goes on from the position",
            )

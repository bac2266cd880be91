"""Write a Feast repository: one Parquet file per feature view, their definitions, and a configuration.

    TARGET/feature_store.yaml          made once; it may be changed
    TARGET/photogenic_features.py      entities, sources and feature views; replaced by each export
    TARGET/data/photo_labels.parquet   replaced as a whole by each export whose rows differ
    TARGET/_manifest.json              digest and rows of each view, written last

The files keep their names, so that a registry of `feast apply` stays valid. Readers see each file as a whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pq
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.writer import Counted, Exported, Target
from photogenic.warehouse.filesystems import Location
from photogenic.warehouse.storage.layout import sha256_of, write_atomically
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, read_limited, to_dataclass

__all__ = ["FeastWriter"]

_MANIFEST = "_manifest.json"
_KIND = "photogenic feast repository"
_DEFINITIONS = "photogenic_features.py"
_CONFIG = """project: photogenic
registry: data/registry.db
provider: local
offline_store:
  type: file
online_store:
  type: sqlite
  path: data/online_store.db
entity_key_serialization_version: 3
"""
_HEAD = '''"""Entities and feature views, from `features export --as feast`. The next one replaces this file."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

DATA = Path(__file__).resolve().parent / "data"

photo = Entity(name="photo", join_keys=["photo_id"], value_type=ValueType.STRING)
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
'''


@dataclass(frozen=True, slots=True)
class _View:
    """One feature view that was exported."""

    name: str
    digest: str
    n_rows: int
    bytes: int
    sha256: str
    about: dict[str, Any]


class FeastWriter:
    """A writer of one repository in a folder of this machine."""

    def __init__(self, root: Location, timeout_s: float) -> None:
        if root.kind != "local":
            raise InputError(
                f"{root.name} is no folder of this machine.",
                "a folder, whose files Feast can replace and lock",
                "--to FOLDER, and copy it there",
            )
        self.root, self._folder = root, Path(root.path)
        self._held = contextlib.ExitStack()
        self._staged = dict[str, _View]()
        self._refuse_other_things()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(locked(self._folder / ".lock", "features export", timeout_s))
        for left in self._folder.glob(".export-*"):
            shutil.rmtree(left)
        self._stage = self._folder / f".export-{os.getpid()}"
        self._stage.mkdir()
        self._views = self._read() or {}
        if not self._views:
            self._write_manifest()

    def _refuse_other_things(self) -> None:
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{self.root.name} is a file.", "a folder", "--to a folder that does not exist yet")
        if not self._folder.exists() or self._read() is not None:
            return
        there = sorted(path.name for path in self._folder.iterdir() if path.name != ".lock")
        if there:
            raise InputError(
                f"{self.root.name} holds something that is no Feast repository of an export: {there[0]}.",
                "an empty folder, or one of an earlier export",
                "--to a folder that does not exist yet",
            )

    def _read(self) -> dict[str, _View] | None:
        try:
            facts = load_with_digest(read_limited(self._folder / _MANIFEST))
            if facts.get("kind") != _KIND:
                raise ValueError("it is not one of a Feast repository")
            views = [to_dataclass(_View, one, where=f"views[{number}]") for number, one in enumerate(facts["views"])]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.root.name}/{_MANIFEST} cannot be used: {error}.",
                "the manifest of a Feast repository that `features export` wrote",
                "--to another folder",
            ) from error
        return {view.name: view for view in views}

    def _write_manifest(self) -> None:
        facts = {"kind": _KIND, "views": [asdict(self._views[name]) for name in sorted(self._views)]}
        write_atomically(self._folder / _MANIFEST, dump_with_digest(facts))

    def _file(self, name: str) -> Path:
        return self._folder / "data" / f"{name}.parquet"

    def _name(self, target: Target) -> str:
        return (self.root / "data" / f"{target.name}.parquet").name

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        del options
        view, path = self._views.get(target.name), self._file(target.name)
        if view is None or view.digest != target.digest or not path.exists() or path.stat().st_size != view.bytes:
            return None
        return Exported(target.name, view.n_rows, 1, view.bytes, "unchanged", self._name(target))

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:
        del target, options
        return ()

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        del options
        schema = reader.schema
        for name in ("event_timestamp", "created_timestamp"):
            number = schema.get_field_index(name)
            if number < 0:
                raise InputError(f"{target.item} has no column {name}.", "a relation of features", "features export")
            schema = schema.set(number, pa.field(name, pa.timestamp("us", tz="UTC")))
        counted, path = Counted(reader), self._stage / f"{target.name}.parquet"
        about = {name.encode(): value.encode() for name, value in target.about.items()}
        with pq.ParquetWriter(path, schema.with_metadata(about), compression="zstd") as writer:
            for batch in counted.reader:
                writer.write_batch(batch.cast(schema.with_metadata(about)))
        counted.check(target)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        size = path.stat().st_size
        self._staged[target.name] = _View(
            target.name, target.digest, target.n_rows, size, sha256_of(path), dict(target.about)
        )
        return Exported(target.name, target.n_rows, 1, size, "written", self._name(target), counted.n_rows)

    def publish(self) -> None:
        if not self._staged:
            return
        (self._folder / "data").mkdir(exist_ok=True)
        for name in self._staged:
            (self._stage / f"{name}.parquet").replace(self._file(name))
        self._views |= self._staged
        self._staged = {}
        if not (self._folder / "feature_store.yaml").exists():
            write_atomically(self._folder / "feature_store.yaml", _CONFIG.encode())
        write_atomically(self._folder / _DEFINITIONS, self._definitions().encode())
        self._write_manifest()

    def _definitions(self) -> str:
        parts = [_HEAD]
        for name in sorted(self._views):
            facts = json.loads(self._views[name].about["photogenic.feast"])
            fields = "".join(f"        Field(name={one!r}, dtype={kind}),\n" for one, kind in facts["features"])
            entity = facts["key"].removesuffix("_id")
            parts.append(
                f"\n{name} = FeatureView(\n    name={name!r},\n    description={facts['summary']!r},\n"
                f"    entities=[{entity}],\n    ttl=timedelta(0),\n    schema=[\n{fields}    ],\n"
                f"    source=FileSource(\n        name={name + '_source'!r},\n"
                f"        path=str(DATA / {name + '.parquet'!r}),\n        timestamp_field='event_timestamp',\n"
                "        created_timestamp_column='created_timestamp',\n    ),\n    online=True,\n)\n"
            )
        return "".join(parts)

    def verify(self, target: Target) -> None:
        view, path = self._views[target.name], self._file(target.name)
        n_rows = pq.read_metadata(path).num_rows if sha256_of(path) == view.sha256 else -1
        if n_rows != target.n_rows:
            raise StoreError(
                f"{path} is damaged.",
                f"{target.n_rows:,} rows, as they were written",
                f"remove {path}, and export again",
            )

    def close(self) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)
        self._held.close()

"""Write Parquet and CSV files, and a manifest that names the valid ones.

    TARGET/_manifest.json                               written last: a reader sees the files that it names
    TARGET/photo_labels/month=2024-01/<run>-0.parquet   files of one export, whose names never come again
    TARGET/.export-<run>/                               files that are not complete yet, of a folder on this machine

An export that is killed leaves the manifest and the files it names as they were. The next export removes what it left
over. One export writes to a folder at a time; in an object store, where nothing can be locked, the last one wins.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import secrets
import shutil
import tempfile
import urllib.parse
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from photogenic._lazy import pa, pq
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.export.manifest import MANIFEST, OURS, File, Item, Manifest, read_manifest
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.shapes import for_csv, plain_schema
from photogenic.warehouse.export.writer import Counted, Exported, Target
from photogenic.warehouse.filesystems import Location
from photogenic.warehouse.storage.layout import sha256_of, sync_directory
from photogenic.warehouse.storage.lock import locked

__all__ = ["MOST_PARTITIONS", "FolderWriter"]

MOST_PARTITIONS = 10_000
_ROWS_A_GROUP = 250_000
_BYTES_A_GROUP = 256 * 10**6
_ATTEMPTS = 10
_ABANDONED_AFTER = dt.timedelta(days=1)
"""Age of a file in an object store that no manifest names: a younger one may belong to an export that runs."""


@dataclass
class _Staged:
    """An item that was written and is not published yet."""

    item: Item
    moves: list[tuple[Path, Path]] = field(default_factory=list)


class FolderWriter:
    """A writer of files into one folder or address.

    Args:
        root: the folder.
        form: format of the files.
        timeout_s: seconds to wait for another export to the same folder.
    """

    def __init__(self, root: Location, form: Literal["parquet", "csv"], timeout_s: float) -> None:
        self.root, self.form, self.run = root, form, secrets.token_hex(8)
        self._local = Path(root.path) if root.kind == "local" else None
        self._staged = dict[str, _Staged]()
        self._uploaded = list[str]()
        self._held = contextlib.ExitStack()
        try:
            self._open(timeout_s)
        except BaseException:
            self._held.close()
            raise

    def _open(self, timeout_s: float) -> None:
        found = read_manifest(self.root)
        if found is None:
            self._refuse_other_things()
            self.root.make_folder()
        if self._local is not None:
            self._held.enter_context(locked(self._local / ".lock", "features export", timeout_s))
            found = read_manifest(self.root)
            for left in self._local.glob(".export-*"):
                shutil.rmtree(left)
            self._stage = self._local / f".export-{self.run}"
            self._stage.mkdir()
        else:
            self._stage = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="features-export-")))
        if found is None:  # from now on the folder is one of exports, also if this one is killed
            found = Manifest({})
            found.write(self.root)
        self._manifest = found
        self._remove_left_over(found)

    def _refuse_other_things(self) -> None:
        """Refuse a folder without a manifest that has something in it."""
        if self._local is not None and self._local.exists() and not self._local.is_dir():
            raise InputError(f"{self.root.name} is a file.", "a folder", "--to a folder that does not exist yet")
        there = [entry.path for entry in self.root.entries() if entry.path != ".lock"]
        if there:
            raise InputError(
                f"{self.root.name} holds something that no export of rows wrote: {there[0]}.",
                f"an empty folder, or one with the {MANIFEST} of an earlier export",
                "--to a folder that does not exist yet",
            )

    def _remove_left_over(self, manifest: Manifest) -> None:
        """Remove files of killed exports: their names are those of exports, and the manifest does not list them."""
        listed = {file.file for item in manifest.items.values() for file in item.files}
        now = dt.datetime.now(dt.UTC)
        for entry in self.root.entries():
            if entry.path in listed or not OURS.fullmatch(entry.path):
                continue
            is_old = entry.changed_at is None or now - entry.changed_at > _ABANDONED_AFTER
            if self._local is not None or is_old:
                self._child(entry.path).remove()

    def _child(self, path: str) -> Location:
        found = self.root
        for part in path.split("/"):
            found /= part
        return found

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        del options
        item = self._manifest.items.get(target.name)
        if item is None:
            self._refuse_foreign(target)
        if item is None or item.digest != target.digest or not self._is_there(item):
            return None
        return self._exported(item, "unchanged", 0)

    def _refuse_foreign(self, target: Target) -> None:
        there = [entry.path for entry in (self.root / target.name).entries()]
        if there:
            raise InputError(
                f"{(self.root / target.name).name} holds something that no export of rows wrote: {there[0]}.",
                "a folder that is empty or does not exist yet",
                f"--table {target.name}_1",
            )

    def _is_there(self, item: Item) -> bool:
        """Whether every file that the manifest lists is there with its size."""
        sizes = {f"{item.name}/{entry.path}": entry.bytes for entry in (self.root / item.name).entries()}
        return all(sizes.get(file.file) == file.bytes for file in item.files)

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:
        del options
        item = self._manifest.items.get(target.name)
        if item is None or not self._is_there(item):
            return ()
        return [name for name, digest in target.partitions.items() if item.partitions.get(name) == digest]

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        partition = list(options.partition or ())
        columns = [[column.name, str(column.type)] for column in reader.schema]
        folder = self._stage / target.name
        schema = plain_schema(reader.schema, partition)
        about = {name.encode(): value.encode() for name, value in target.about.items()}
        rows = for_csv(reader.cast(schema)) if self.form == "csv" else reader.cast(schema)
        counted = Counted(rows)
        kept_rows = sum(file.rows for file in self._kept(target))
        files = self._write_files(
            counted, folder, partition, about, options.max_rows_per_file, is_rest=bool(target.kept)
        )
        counted.check(target, target.n_rows - kept_rows)
        files = [*self._kept(target), *files]
        item = Item(
            name=target.name,
            item=target.item,
            format=self.form,
            digest=target.digest,
            n_rows=target.n_rows,
            columns=columns,
            partition=partition,
            partitions=dict(target.partitions),
            about=dict(target.about),
            files=sorted(files, key=lambda file: file.file),
        )
        self._staged[target.name] = _Staged(item)
        if self._local is None:
            self._upload(item)
        return self._exported(item, "written", counted.n_rows)

    def _kept(self, target: Target) -> list[File]:
        item = self._manifest.items.get(target.name)
        kept = set(target.kept)
        return [] if item is None or not kept else [file for file in item.files if file.partition in kept]

    def _write_files(
        self,
        counted: Counted,
        folder: Path,
        partition: list[str],
        about: dict[bytes, bytes],
        most: int,
        *,
        is_rest: bool,
    ) -> list[File]:
        schema = counted.reader.schema.with_metadata({**(counted.reader.schema.metadata or {}), **about})
        reader = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in counted.reader))
        rows = dict[str, int]()

        def note(written: Any) -> None:
            rows[written.path] = written.metadata.num_rows if written.metadata is not None else -1

        if self.form == "parquet":
            settings = pa.dataset.ParquetFileFormat().make_write_options(compression="zstd")
        else:
            settings = pa.dataset.CsvFileFormat().make_write_options(include_header=True)
        ending = self.form
        folder.mkdir(parents=True)
        if self.form == "parquet" and not partition:
            rows = _write_parquet(reader, folder / self.run, most)
        else:
            parts = pa.schema([schema.field(name) for name in partition])
            pa.dataset.write_dataset(
                reader,
                str(folder),
                format=self.form,
                file_options=settings,
                partitioning=pa.dataset.partitioning(parts, flavor="hive") if partition else None,
                basename_template=f"{self.run}-{{i}}.{ending}",
                max_rows_per_file=most,
                max_rows_per_group=min(_ROWS_A_GROUP, most),
                max_partitions=MOST_PARTITIONS,
                preserve_order=True,
                file_visitor=note,
            )
        if not rows and not is_rest:  # a table without rows would give no file, and so no columns
            path = folder / f"{self.run}-0.{ending}"
            empty = schema.empty_table().drop_columns(partition)
            if self.form == "parquet":
                pq.write_table(empty, path, compression="zstd")
            else:
                pa.csv.write_csv(empty, path)
            rows[str(path)] = 0
        columns = [name for name in schema.names if name not in partition]
        found = []
        for path in sorted(map(Path, rows)):
            inside = path.relative_to(self._stage)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            n_rows = rows[str(path)] if rows[str(path)] >= 0 else _count_csv(path, columns)
            found.append(
                File(
                    file=str(inside),
                    rows=n_rows,
                    bytes=path.stat().st_size,
                    sha256=sha256_of(path),
                    partition=urllib.parse.unquote("/".join(inside.parts[1:-1])),
                )
            )
        return found

    def _upload(self, item: Item) -> None:
        """Upload the files of this run under their final names; no reader finds these before the manifest."""
        for file in item.files:
            path = self._stage / file.file
            if path.exists():
                self._uploaded.append(file.file)
                with path.open("rb") as stream:
                    self._child(file.file).upload(stream, file.bytes)
                path.unlink()

    def publish(self) -> None:
        if not self._staged:
            return
        mine = {name: staged.item for name, staged in self._staged.items()}
        if self._local is not None:
            self._move(mine)
        for attempt in range(_ATTEMPTS):
            former = (read_manifest(self.root) if self._local is None else self._manifest) or Manifest({})
            made = Manifest({**former.items, **mine})
            made.write(self.root)
            if self._local is not None or self._is_published(mine):
                break
            if attempt == _ATTEMPTS - 1:
                raise StoreError(
                    f"Other exports replaced {(self.root / MANIFEST).name} {_ATTEMPTS} times.",
                    "one export to an address at a time",
                    "run the same command again",
                )
        self._manifest = made
        self._uploaded.clear()
        self._staged.clear()
        listed = {file.file for item in made.items.values() for file in item.files}
        gone = [
            file.file
            for name in mine
            for file in (former.items[name].files if name in former.items else ())
            if file.file not in listed
        ]
        for path in gone:
            self._child(path).remove()
        self._remove_empty_folders({path.rpartition("/")[0] for path in gone})

    def _is_published(self, mine: dict[str, Item]) -> bool:
        """Whether the manifest that is there has these items, or later ones of the same name."""
        there = read_manifest(self.root)
        return there is not None and mine.keys() <= there.items.keys()

    def _move(self, mine: dict[str, Item]) -> None:
        assert self._local is not None
        folders = set[Path]()
        for item in mine.values():
            for file in item.files:
                source, place = self._stage / file.file, self._local / file.file
                if source.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    source.rename(place)
                    folders.update(parent for parent in place.parents if self._local in (parent, *parent.parents))
        for folder in folders:
            sync_directory(folder)

    def _remove_empty_folders(self, folders: Collection[str]) -> None:
        """Remove folders of partitions without files; an object store keeps an empty object of the name of each."""
        for path in folders:
            if self._local is None:
                if not self._child(path).entries():
                    self._child(path).remove_folder()
                continue
            folder = self._local / path
            with contextlib.suppress(OSError):  # it has files
                while folder != self._local:
                    folder.rmdir()
                    folder = folder.parent

    def verify(self, target: Target) -> None:
        item = self._manifest.items[target.name]
        for file in item.files:
            found = self._digest(file)
            if found != file.sha256:
                raise StoreError(
                    f"{self._child(file.file).name} is damaged: its bytes are not those that were written.",
                    f"SHA-256 {file.sha256}",
                    f"remove {self._child(file.file).name}, and run the same command again",
                )
        if sum(file.rows for file in item.files) != target.n_rows:
            raise StoreError(f"{item.name} lacks rows.", f"{target.n_rows:,} rows", "run the same command again")

    def _digest(self, file: File) -> str:
        found = hashlib.sha256()
        with self._child(file.file).read() as stream:
            while block := stream.read(1 << 20):
                found.update(block)
        return found.hexdigest()

    def close(self) -> None:
        try:
            for name in self._uploaded:  # of items that were not published
                self._child(name).remove()
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)
            self._held.close()

    def _exported(self, item: Item, state: Literal["written", "unchanged"], n_written: int) -> Exported:
        size = sum(file.bytes for file in item.files)
        address = (self.root / item.name).name
        return Exported(item.name, item.n_rows, len(item.files), size, state, address, n_written)


def _write_parquet(reader: pa.RecordBatchReader, path: Path, most: int) -> dict[str, int]:
    """Write files of at most so many rows, with one row group in memory at a time; return their numbers of rows."""
    rows, group = dict[str, int](), list[pa.RecordBatch]()
    writer: Any = None

    def flush() -> None:
        writer.write_table(pa.Table.from_batches(group, reader.schema))
        group.clear()

    try:
        for batch in reader:
            start = 0
            while start < batch.num_rows:
                if writer is None:
                    name = f"{path}-{len(rows)}.parquet"
                    rows[name], writer = 0, pq.ParquetWriter(name, reader.schema, compression="zstd")
                part = batch.slice(start, most - rows[name])
                start += part.num_rows
                rows[name] += part.num_rows
                group.append(part)
                size = sum(map(len, group)), sum(each.nbytes for each in group)
                if size[0] >= _ROWS_A_GROUP or size[1] >= _BYTES_A_GROUP or rows[name] == most:
                    flush()
                if rows[name] == most:
                    writer.close()
                    writer = None
        if group:
            flush()
    finally:
        if writer is not None:
            writer.close()
    return rows


def _count_csv(path: Path, columns: Sequence[str]) -> int:
    """Count the rows of a CSV file, whose texts may have line feeds."""
    reading = {
        "parse_options": pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(columns) > 1),
        "convert_options": pa.csv.ConvertOptions(
            check_utf8=False, include_columns=columns[:1], column_types={columns[0]: pa.binary()}
        ),
    }
    n_rows = 0
    with pa.csv.open_csv(path, **reading) as reader:
        for batch in reader:
            n_rows += batch.num_rows
    return n_rows

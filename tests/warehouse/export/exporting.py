"""A store of some users, photos and swipes for tests of exports, and independent readers of what was written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import deltalake
import duckdb
import lance
import pyarrow as pa
import pyarrow.parquet as pq

from photogenic import FeatureStore
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.run import Source, export
from photogenic.warehouse.moment import Moment
from tests.models.training_sets.sets import make

FORMATS = ("parquet", "csv", "delta", "lance")


def opened(folder: Path, **facts) -> FeatureStore:
    """Make a store and open it."""
    return FeatureStore(make(folder, **facts).layout.root)


def write(store: FeatureStore, table: pa.Table, to: object, name: str = "rows", **options):
    """Export the rows of a table, as those of a training set are."""
    source = Source(
        item=name,
        table=name,
        reader=lambda: table.to_reader(max_chunksize=7),
        digest=str(hash(str(table.to_pydict()) + str(table.schema))),
        n_rows=len(table),
    )
    (done,) = export(store.store, [source], str(to), ExportOptions(**options), Moment())
    return done


def listed(folder: Path) -> dict:
    """The items of a manifest, read without the program."""
    facts = json.loads((folder / "_manifest.json").read_text())
    return {item["name"]: item for item in facts["items"]}


def files(folder: Path, name: str) -> list[Path]:
    """The files that the manifest names for an item."""
    return [folder / file["file"] for file in listed(folder)[name]["files"]]


def read(folder: Path, name: str, form: str) -> pa.Table:
    """Read what was exported with the library of the format."""
    if form == "parquet":
        return pa.concat_tables([pq.ParquetFile(file).read() for file in files(folder, name)])
    if form == "delta":
        return deltalake.DeltaTable(folder / name).to_pyarrow_table()
    return lance.dataset(folder / f"{name}.lance").to_table()


def read_csv(folder: Path, name: str) -> list[list[str]]:
    """Read CSV with Python's module: header first."""
    rows = []
    for number, file in enumerate(files(folder, name)):
        with file.open(encoding="utf-8", newline="") as text:
            rows += [row for place, row in enumerate(csv.reader(text)) if place or not number]
    return rows


def with_duckdb(query: str) -> list[tuple]:
    with duckdb.connect() as con:
        return con.execute(query).fetchall()

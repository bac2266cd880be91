"""Tables of Delta Lake and Iceberg: deleted rows, renamed columns, partitions, versions, and what came since one."""

import base64
import json
import os
import shutil
import struct

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import DoubleType
from pyiceberg.utils.config import Config
from pyroaring import BitMap

from photogenic.ingest.lake import lake
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool
from photogenic.ingest.sources.opening import open_sources
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles

USERS = pa.table({"user_id": ["a", "b", "c"], "followers": pa.array([1, 2, 3], pa.int32()), "gender": ["f", "m", "f"]})


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool") as opened:
        yield opened


def rows(files):
    return sorted(
        (tuple(row.values()) for file in files for row in pq.ParquetFile(file.path).read().to_pylist()), key=str
    )


def ids(files):
    return sorted(row["user_id"] for file in files for row in pq.ParquetFile(file.path).read().to_pylist())


def delta_with(folder, *, deleted=(), renamed=False):
    """A table of four rows, written as Spark writes it: with a deletion vector, or with columns of other names."""
    (folder / "_delta_log").mkdir(parents=True)
    physical = ("col-1", "col-2") if renamed else ("user_id", "followers")
    pq.write_table(
        pa.table(dict(zip(physical, (["a", "b", "c", "d"], [1, 2, 3, 4]), strict=True))), folder / "0.parquet"
    )
    fields = [
        {
            **{"name": name, "type": type_, "nullable": True},
            "metadata": {"delta.columnMapping.id": at, "delta.columnMapping.physicalName": column} if renamed else {},
        }
        for at, (name, type_, column) in enumerate(
            zip(("user_id", "followers"), ("string", "long"), physical, strict=True), 1
        )
    ]
    features = ["deletionVectors"] * bool(deleted) + ["columnMapping"] * renamed
    settings = {"delta.enableDeletionVectors": "true"} if deleted else {}
    settings |= {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"} if renamed else {}
    add = {
        "path": "0.parquet",
        "partitionValues": {},
        "size": (folder / "0.parquet").stat().st_size,
        "modificationTime": 1,
    }
    add |= {"dataChange": True, "stats": json.dumps({"numRecords": 4})}
    if deleted:
        add["deletionVector"] = deletion_vector(deleted)
    schema = json.dumps({"type": "struct", "fields": fields})
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    metadata = {"id": "5f1", "format": {"provider": "parquet", "options": {}}, "schemaString": schema}
    metadata |= {"partitionColumns": [], "configuration": settings, "createdTime": 1}
    actions = [{"protocol": protocol}, {"metaData": metadata}, {"add": add}]
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    return folder


def deletion_vector(numbers):
    """The vector in the log itself: a 64-bit Roaring bitmap in Z85, which is base 85 with other characters."""
    data = struct.pack("<iqi", 1681511377, 1, 0) + BitMap(numbers).serialize()
    z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    b85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    text = base64.b85encode(data + b"\0" * (-len(data) % 4)).translate(bytes.maketrans(b85, z85))
    return {"storageType": "i", "pathOrInlineDv": text.decode(), "sizeInBytes": len(data), "cardinality": len(numbers)}


def test_rows_that_were_deleted_or_replaced_are_not_read(store):
    table = store.folder / "users"
    deltalake.write_deltalake(table, USERS, partition_by=["gender"])
    deltalake.DeltaTable(table).delete("user_id = 'a'")
    deltalake.write_deltalake(
        table, pa.table({"user_id": ["d"], "gender": ["m"], "extra": [0.5]}), mode="append", schema_mode="merge"
    )
    [report] = store.take("users", table)
    assert (report.source, report.n_read, report.n_new, report.notes) == (str(table), 3, 3, ())
    assert store.rows("select user_id, gender, followers from facts.users order by 1") == [
        *(("b", "male", 2), ("c", "female", 3), ("d", "male", None)),
    ]


@pytest.mark.parametrize(("deleted", "renamed"), [((1, 3), False), ((), True), ((0,), True)])
def test_deletion_vectors_and_renamed_columns(tmp_path, spool, deleted, renamed):
    table = delta_with(tmp_path / "users", deleted=deleted, renamed=renamed)
    expected = [(id_, at + 1) for at, id_ in enumerate("abcd") if at not in deleted]
    assert rows(lake.open_source(str(table), spool, SourceOptions())) == expected


def test_a_version_of_a_table(tmp_path, spool):
    table = str(tmp_path / "users#1")
    deltalake.write_deltalake(table, USERS)
    deltalake.write_deltalake(table, USERS.slice(1), mode="overwrite")
    assert ids(open_sources([table], spool, SourceOptions())) == ["b", "c"]
    [former] = open_sources([f"{table}#version=0"], spool, SourceOptions())
    assert (ids([former]), former.name) == (["a", "b", "c"], f"{table}#version=0")
    for wrong, what in (("version=7", "has no version 7"), ("snapshot=1", "is named with #snapshot=1")):
        with pytest.raises(InputError, match=what):
            open_sources([f"{table}#{wrong}"], spool, SourceOptions())


@pytest.mark.parametrize("has_feed", [False, True])
def test_what_came_since_a_version_of_delta(tmp_path, spool, has_feed):
    table = str(tmp_path / "users")
    feed = {"delta.enableChangeDataFeed": "true"} if has_feed else None
    deltalake.write_deltalake(table, USERS, configuration=feed)
    files, first = lake.open_changes(table, None, spool)
    assert ids(files) == ["a", "b", "c"]
    assert lake.open_changes(table, first, spool) == ([], first)
    deltalake.write_deltalake(table, USERS.slice(0, 1).set_column(0, "user_id", pa.array(["d"])), mode="append")
    files, second = lake.open_changes(table, first, spool)
    assert ids(files) == ["d"]
    deltalake.DeltaTable(table).delete("user_id = 'a'")
    files, third = lake.open_changes(table, second, spool)
    if has_feed:
        assert (ids(files), files[0].notes[0][:20]) == ([], "1 rows were deleted ")
    else:
        assert ids(files) == ["b", "c"]  # of the file that replaced the one with the deleted row
    deltalake.DeltaTable(table).update({"followers": "9"}, predicate="user_id = 'b'")
    files, _ = lake.open_changes(table, third, spool)
    assert ("b", 9, "m") in rows(files)
    shutil.rmtree(table)
    deltalake.write_deltalake(table, USERS)
    files, _ = lake.open_changes(table, third, spool)
    assert (ids(files), files[0].notes) == (["a", "b", "c"], ("another table than before: read as a whole",))


def test_what_came_since_a_version_with_deletion_vectors_is_the_whole_table(tmp_path, spool):
    table = str(delta_with(tmp_path / "users", deleted=(1,)))
    _, first = lake.open_changes(table, None, spool)
    files, _ = lake.open_changes(table, {**first, "version": -1}, spool)
    assert ids(files) == ["a", "c", "d"]


@pytest.fixture
def iceberg(tmp_path):
    """A catalog with an empty table app.users."""
    catalog = SqlCatalog("ours", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("app")
    yield catalog.create_table("app.users", schema=USERS.schema)
    catalog.close()


def folder_of(table):
    return table.location().removeprefix("file://")


def test_a_table_of_iceberg(store, iceberg, spool):
    iceberg.append(USERS)
    first = iceberg.current_snapshot().snapshot_id
    iceberg.delete("user_id = 'a'")
    with iceberg.update_schema() as update:
        update.rename_column("followers", "n")
        update.add_column("extra", DoubleType())
    folder = folder_of(iceberg)
    [report] = store.take("users", folder, mapping={"followers": "n"})
    assert (report.n_read, report.n_new) == (2, 2)
    assert store.rows("select user_id, followers from facts.users order by 1") == [("b", 2), ("c", 3)]
    assert ids(open_sources([f"{folder}#snapshot={first}"], spool, SourceOptions())) == ["a", "b", "c"]
    state = iceberg.metadata_location.removeprefix("file://")
    assert ids(open_sources([state], spool, SourceOptions())) == ["b", "c"]
    for wrong, what in (("snapshot=7", "has no snapshot 7"), ("version=1", "is named with #version=1")):
        with pytest.raises(InputError, match=what):
            open_sources([f"{folder}#{wrong}"], spool, SourceOptions())


def test_what_came_since_a_snapshot_of_iceberg(iceberg, spool):
    folder = folder_of(iceberg)
    assert lake.open_changes(folder, None, spool) == ([], None)
    iceberg.append(USERS)
    files, first = lake.open_changes(folder, None, spool)
    assert ids(files) == ["a", "b", "c"]
    assert lake.open_changes(folder, first, spool) == ([], first)
    iceberg.append(USERS.slice(0, 1).set_column(0, "user_id", pa.array(["d"])))
    files, second = lake.open_changes(folder, first, spool)
    assert (ids(files), files[0].notes) == (["d"], ())
    iceberg.overwrite(USERS.slice(2), overwrite_filter="user_id = 'c'")
    files, third = lake.open_changes(folder, second, spool)
    assert "c" in ids(files)
    files, _ = lake.open_changes(folder, {**third, "table": "other"}, spool)
    assert ids(files) == ["a", "b", "c", "d"]


def test_a_table_of_a_catalog(tmp_path, iceberg, spool, monkeypatch):
    iceberg.append(USERS)
    monkeypatch.setenv("PYICEBERG_CATALOG__OURS__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__OURS__TYPE", "sql")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # read when it was imported
    assert ids(open_sources(["iceberg://ours/app.users"], spool, SourceOptions())) == ["a", "b", "c"]
    with pytest.raises(InputError, match=r"iceberg://ours/app\.nosuch cannot be read"):
        open_sources(["iceberg://ours/app.nosuch"], spool, SourceOptions())
    with pytest.raises(InputError, match="names no table"):
        open_sources(["iceberg://ours"], spool, SourceOptions())


def test_a_damaged_table(tmp_path, spool):
    deltalake.write_deltalake(tmp_path / "users", USERS)
    [file] = (tmp_path / "users").glob("*.parquet")
    file.unlink()
    with pytest.raises(InputError, match="users cannot be read"):
        open_sources([tmp_path / "users"], spool, SourceOptions())
    (tmp_path / "users" / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(InputError, match="users cannot be read"):
        open_sources([tmp_path / "users"], spool, SourceOptions())
    (tmp_path / "ice" / "metadata").mkdir(parents=True)
    (tmp_path / "ice" / "metadata" / "v1.metadata.json").write_text("{}")
    with pytest.raises(InputError, match="ice cannot be read"):
        open_sources([tmp_path / "ice"], spool, SourceOptions())


def test_tables_in_an_object_store(store, bucket):
    table = store.folder / "users"
    deltalake.write_deltalake(table, USERS)
    deltalake.DeltaTable(table).delete("user_id = 'a'")
    for path in filter(os.path.isfile, table.rglob("*")):
        bucket.put(f"lake/users/{path.relative_to(table)}", path.read_bytes())
    address = f"{bucket.address}/lake/users"
    [report] = store.take("users", address)
    assert (report.source, report.n_new) == (address, 2)
    [report] = store.take("users", f"{address}#version=0")
    assert (report.n_read, report.n_new) == (3, 1)

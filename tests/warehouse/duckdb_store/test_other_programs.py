"""The snapshot in other programs of DuckDB: which versions open it, and what they see while a new one is published."""

import struct
import subprocess
import sys

import duckdb
import pytest

from photogenic.warehouse.duckdb_store.database import STORAGE
from tests.warehouse.small import add_facts, store

READER = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(con.execute("select count(*) from users").fetchone()[0], flush=True)
"""


def storage(path):
    """Return the version of the storage in the header of a file: 64 is that of DuckDB 1.0, 68 that of 1.5."""
    return struct.unpack_from("<Q", path.read_bytes()[:20], 12)[0]


def test_the_files_of_a_new_store_have_the_storage_of_an_older_version(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", "female")])
    assert (STORAGE, storage(db.layout.snapshot), storage(db.layout.warehouse)) == ("v1.5.0", 68, 68)
    with db.lock("test"):
        db.compact()
    assert storage(db.layout.snapshot) == 68
    assert db.rows("select user_id from users") == [("ann",)]


def test_an_older_store_keeps_its_storage_until_it_is_compacted(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", "female")])
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach '{db.layout.warehouse}' as former (read_only)")
        con.execute(f"attach '{tmp_path / 'later.duckdb'}' as later (storage_version 'latest')")
        con.execute("copy from database former to later")
    later = storage(tmp_path / "later.duckdb")
    assert later > 68
    (tmp_path / "later.duckdb").replace(db.layout.warehouse)
    add_facts(db, users=[("bob", "male")])
    assert storage(db.layout.snapshot) == later
    with db.lock("test"):
        db.compact()
    assert storage(db.layout.snapshot) == 68
    assert db.rows("select user_id from users order by all") == [("ann",), ("bob",)]


@pytest.mark.parametrize("kind", ["variant", "geometry", "bignum", "time_ns", "timestamp_ns", "uhugeint", "float[3]"])
def test_every_type_of_a_column_can_be_stored(tmp_path, kind):
    db = store(tmp_path)
    with db.write("test") as con:
        con.execute(f"create table typed (a {kind})")
    assert db.rows("select count(*) from typed") == [(0,)]


def test_a_reader_keeps_what_it_opened_and_blocks_nobody(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", "female")])
    command = [sys.executable, "-c", READER, str(db.layout.snapshot)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

        def asked():
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert asked() == "1"
        add_facts(db, users=[("bob", "male")])
        assert asked() == "1"
        assert db.rows("select count(*) from users") == [(2,)]
        reader.stdin.close()
    again = subprocess.run(command, input="\n", capture_output=True, text=True, check=True)
    assert again.stdout == "2\n"


def test_no_program_can_write_the_snapshot_through_a_reading_connection(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", "female")])
    before = db.layout.snapshot.read_bytes()
    with duckdb.connect(db.layout.snapshot, read_only=True) as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("delete from facts.users")
    assert db.layout.snapshot.read_bytes() == before

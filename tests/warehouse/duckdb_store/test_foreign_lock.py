"""Another program, such as a DuckDB shell, has a database of the store open: errors name it, and commands wait."""

import contextlib
import subprocess
import sys
from dataclasses import replace

import pytest

from photogenic.warehouse import Database, Layout, LockedError
from tests.warehouse.small import SETTINGS

HOLD = (
    "import duckdb, sys\nc = duckdb.connect(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read(int(sys.argv[2]))"
)


@contextlib.contextmanager
def held(path):
    """Keep a database open in another process until stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "open\n"
        try:
            yield other
        finally:
            other.stdin.close()


@pytest.fixture
def db(tmp_path):
    db = Database(Layout(tmp_path / "store"), SETTINGS)
    with db.write("test"):
        pass
    return db


def test_a_writer_names_the_other_program(db):
    with (
        held(db.layout.warehouse) as other,
        pytest.raises(LockedError, match=f"PID {other.pid}") as refused,
        db.write("test"),
    ):
        pass
    assert "FEATURES_LOCK_TIMEOUT" in refused.value.remedy


def test_a_reader_names_the_other_program(db):
    with held(db.layout.snapshot) as other, pytest.raises(LockedError, match=f"PID {other.pid}"), db.read():
        pass


def test_both_wait(db, capsys):
    patient = Database(db.layout, replace(SETTINGS, lock_timeout_s=30))
    for path, use in ((db.layout.warehouse, patient.write), (db.layout.snapshot, lambda _: patient.read())):
        with held(path) as other:
            import threading

            timer = threading.Timer(0.3, other.stdin.close)
            timer.start()
            with use("test") as con:
                assert con.execute("select 1").fetchone() == (1,)
            timer.join()
        assert f"Waiting for {sys.executable}"[:11] in capsys.readouterr().err


def test_the_doctor_names_them_and_changes_nothing(db):
    from photogenic import FeatureStore

    for path in (db.layout.warehouse, db.layout.snapshot):
        before = path.read_bytes()
        # An open store keeps the snapshot open, so that no other program could open it for writing.
        with held(path) as other, FeatureStore(db.layout.root, settings=SETTINGS) as store:
            for fix in (False, True):
                (found,) = [one for one in store.doctor(thorough=True, fix=fix) if one.check == "snapshot"]
                assert found.state == "note"
                assert f"PID {other.pid}" in found.found
        assert path.read_bytes() == before

import os
import signal
import threading
import time

import pytest

from photogenic.warehouse import Database, Layout, Settings

ENDLESS = "select count(*) from range(1000000000) a, range(1000) b where (a.range * b.range) % 7 = 3"


@pytest.fixture
def db(tmp_path):
    db = Database(Layout(tmp_path / "store"), Settings("500MB", threads=1))
    with db.write("test"):
        pass
    return db


@pytest.fixture(autouse=True)
def heard():
    """Restore SIGINT, which a background shell ignores in its children."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def press_ctrl_c(after_s):
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@pytest.mark.parametrize("door", ["read", "write"])
def test_ctrl_c_ends_a_statement_and_spares_the_next(db, door):
    def opened():
        return db.read() if door == "read" else db.write("test")

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), opened() as con:
        press_ctrl_c(after_s=0.2)
        con.execute(ENDLESS)
    assert time.monotonic() - started < 5
    with opened() as con:
        assert con.execute("select 42").fetchone() == (42,)


def test_ctrl_c_ends_a_statement_whose_rows_arrow_reads(db):
    with pytest.raises(KeyboardInterrupt), db.read() as con:
        reader = con.sql("select range from range(1000000000000) where range % 7 = 3").to_arrow_reader(1000)
        press_ctrl_c(after_s=0.2)
        signal.signal(signal.SIGINT, lambda *_: None)  # so that the error of Arrow comes first
        for _ in reader:
            pass


def test_ctrl_c_ends_a_statement_that_prepares_the_store(db, monkeypatch):
    def prepare(con):
        press_ctrl_c(after_s=0.2)
        con.execute(ENDLESS)

    monkeypatch.setattr(db, "_prepare", prepare)
    with pytest.raises(KeyboardInterrupt), db.write("test"):
        pass


def test_the_handler_of_before_is_back(db):
    with db.read():
        pass
    before = signal.set_wakeup_fd(-1)
    assert before == -1


def test_other_threads_read_without_it(db):
    found = []

    def ask():
        with db.read() as con:
            found.append(con.execute("select 42").fetchone())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [(42,)]

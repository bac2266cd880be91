"""Standard streams that are closed, full, disconnected or of a small character set, and invalid store paths."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic.warehouse import Layout, StoreError

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")


@pytest.fixture
def shell(swipes_db, tmp_path):
    def run(line, **environment):
        return subprocess.run(
            ["bash", "-c", line.replace("features ", f"{FEATURES} ")],
            check=False,
            capture_output=True,
            timeout=60,
            cwd=tmp_path,
            env=os.environ | {"FEATURES_STORE": str(swipes_db.layout.root)} | environment,
        )

    return run


@pytest.mark.parametrize(
    "line", ["features status >&-", "features status >/dev/full", "features sql 'from users' --format csv >/dev/full"]
)
def test_output_that_cannot_be_written_is_one_message(line, shell):
    done = shell(line)
    assert done.returncode == 1
    what, expected, remedy = done.stderr.decode().splitlines()
    assert what.startswith("The output could not be written")
    assert expected.startswith("Expected: ")
    assert remedy.startswith("Try: ")


def test_ingested_rows_are_kept_when_stdout_is_full(shell, tmp_path):
    (tmp_path / "u.csv").write_text("user_id,gender\na,f\n")
    done = shell("features ingest users u.csv --store new >/dev/full")
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert json.loads(shell("features sql 'select user_id from users' --format json --store new").stdout) == [
        {"user_id": "a"}
    ]


def test_messages_that_cannot_be_written_change_nothing(shell):
    assert shell("features status 2>/dev/full").returncode == 0
    assert shell("features status 2>&-").returncode == 0
    assert shell("features sql 'from nothing_here' 2>&-").returncode == 1


def test_a_closed_stdin_is_empty(shell):
    done = shell("features sql <&-")
    assert (done.returncode, b"Traceback" in done.stderr, b"Expected" in done.stderr) == (1, False, True)


def test_bytes_on_stdin_that_are_not_text(shell):
    done = shell("printf 'select \\377' | features sql")
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)


def test_a_closed_pipe_ends_the_program_without_a_message(shell):
    done = shell(
        "features sql 'select * from range(1000000)' --format csv | head -1; exit ${PIPESTATUS[0]}",
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, b"range\n", b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:surrogateescape"])
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_small_character_set(encoding, form, shell):
    done = shell(f"features sql \"select '→😀' as x\" --format {form}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    if form == "json":
        assert json.loads(done.stdout) == [{"x": "→😀"}]
    else:
        assert b"\\u2192\\U0001f600" in done.stdout


def test_an_argument_that_is_not_utf8(shell):
    for line in ("features sql $'select \\'\\xff\\''", "features status --store $'\\xff'"):
        done = shell(line)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr


def test_a_working_folder_that_was_removed(shell, swipes_db):
    done = shell("mkdir gone; cd gone; rmdir ../gone; features status --store ../ok")
    assert done.returncode == 1
    assert b"working folder" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "lock").mkdir()
    return tmp_path


NAMES = ["file", "file/x", "pipe", "dangling", "loop", "z" * 300, "a?b", "a\\b", "locked", "\udcff", "a\0b"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:10]))
def test_a_store_cannot_be_made_at(name, places):
    from photogenic import FeatureStore
    from photogenic.warehouse import Database, Settings

    with pytest.raises(StoreError, match="cannot") as python:
        FeatureStore(places / name)
    assert python.value.remedy
    with pytest.raises(StoreError, match="cannot"):
        Database(Layout(places / name), Settings("500MB", 1))


@pytest.mark.parametrize("name", ["st*r[ab]{x}", "qu'ote\"s", "new\nline ", "sqlite:x", ":memory:", "#;%20&é→😀"])
def test_a_store_with_an_unusual_name_works(name, tmp_path, monkeypatch):
    from photogenic import FeatureStore

    monkeypatch.chdir(tmp_path)
    (tmp_path / "u.csv").write_text("user_id,gender\na,f\n")
    with FeatureStore(name) as store:
        store.ingest_users("u.csv")
        assert store.sql("from users").height == 1
        assert not [one for one in store.doctor() if one.state == "fault" and one.check == "snapshot"]
    assert {path.name for path in tmp_path.iterdir()} == {"u.csv", name}

"""The lock of the writer: its holder is named, others wait for it, and it is released when the holder ends."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from photogenic.warehouse import LockedError
from photogenic.warehouse.storage.lock import holder, locked


def _other_process(path):
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        import time
        from photogenic.warehouse.storage.lock import locked
        with locked(Path({str(path)!r}), "features build", 0):
            print("held", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_writer_names_the_holder_of_the_lock(tmp_path):
    path = tmp_path / "lock"
    other = _other_process(path)
    heard = []
    try:
        with (
            pytest.raises(LockedError, match=rf"pid {other.pid}, `features build`, since 20"),
            locked(path, "features ingest", 0.2, heard.append),
        ):
            pytest.fail("two writers at once")
        assert [who.pid for who in heard] == [other.pid]
        assert holder(path).command == "features build"
    finally:
        other.kill()
        other.communicate()


def test_killed_writer_leaves_no_lock(tmp_path):
    path = tmp_path / "lock"
    other = _other_process(path)
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    assert holder(path) is None
    with locked(path, "features ingest", 0):
        assert holder(path).pid == os.getpid()
    assert holder(path) is None


def test_lock_without_a_store_is_free(tmp_path):
    assert holder(tmp_path / "nowhere" / "lock") is None

"""The running stages of a writer are visible to other processes as long as it is alive."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from photogenic.warehouse import Layout, no_progress
from photogenic.warehouse.duckdb_store.live_status import read_live_status, report_live_status
from photogenic.warehouse.storage.lock import locked


@pytest.fixture
def other(tmp_path):
    """A process that has done 3 of 10 photos and then waits."""
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from photogenic.warehouse import Layout, no_progress
        from photogenic.warehouse.storage.lock import locked
        from photogenic.warehouse.duckdb_store.live_status import report_live_status
        layout = Layout(Path({str(tmp_path)!r}))
        with locked(layout.lock, "features build", 0), report_live_status(layout, no_progress) as progress:
            with progress.stage("faces", 10, "photos") as advance:
                time.sleep(0.6)
                advance(3)
                print("done", flush=True)
                time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    with process:
        yield process
        process.kill()


def test_stages_of_another_process_are_visible_until_it_ends(tmp_path, other):
    (stage,) = read_live_status(Layout(tmp_path))
    assert {name: stage[name] for name in ("name", "done", "total", "unit")} == {
        "name": "faces",
        "done": 3,
        "total": 10,
        "unit": "photos",
    }
    assert 0.6 <= stage["seconds"] < 60
    other.kill()
    other.wait()
    assert Layout(tmp_path).underway.exists()
    assert read_live_status(Layout(tmp_path)) == []


def test_a_process_that_waits_for_the_lock_has_no_stages(tmp_path, other):
    layout = Layout(tmp_path)
    with report_live_status(layout, no_progress) as progress, progress.stage("labels", 5) as advance:
        advance(1)
        assert [stage["name"] for stage in read_live_status(layout)] == ["faces"]
    assert [stage["name"] for stage in read_live_status(layout)] == ["faces"]


def test_stages_inside_of_stages_and_nothing_left_at_the_end(tmp_path):
    layout = Layout(tmp_path)
    with locked(layout.lock, "features build", 0):
        with (
            report_live_status(layout, no_progress) as progress,
            progress.stage("outer"),
            progress.stage("inner", 2, "photos"),
        ):
            assert [(stage["name"], stage["total"]) for stage in read_live_status(layout)] == [
                ("outer", None),
                ("inner", 2),
            ]
        assert read_live_status(layout) == []
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_what_a_kill_left_in_the_middle_of_a_write_is_replaced(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with (
            pytest.raises(KeyboardInterrupt),
            locked(layout.lock, "features build", 0),
            report_live_status(layout, no_progress) as progress,
            progress.stage("faces", 10, "photos"),
        ):
            raise AssertionError("the stage was not written")
    assert list(tmp_path.glob("*.tmp"))
    with (
        locked(layout.lock, "features build", 0),
        report_live_status(layout, no_progress) as progress,
        progress.stage("faces", 10, "photos"),
    ):
        assert list(tmp_path.glob("*.tmp")) == []


def test_an_invalid_file_is_ignored(tmp_path):
    layout = Layout(tmp_path)
    with locked(layout.lock, "features build", 0):
        for text in ("", "[]", "{", '{"pid": 1}'):
            layout.underway.write_text(text)
            assert read_live_status(layout) == []


def test_a_store_that_cannot_be_written_stops_nothing(tmp_path):
    with report_live_status(Layout(tmp_path / "none"), no_progress) as progress, progress.stage("labels", 1) as advance:
        advance(1)
    assert not (tmp_path / "none").exists()

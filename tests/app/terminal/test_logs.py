"""Structured logs: one JSON object per line for all output, without names of pictures."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic.app.terminal import logs
from photogenic.app.terminal.logs import Structured
from photogenic.warehouse.errors import InputError

FEATURES = Path(sys.executable).with_name("features")


@pytest.fixture
def log():
    now = iter(range(100))
    out = io.StringIO()
    return Structured(out, clock=lambda: next(now)), out


def events_of(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_stage_logs_its_beginning_and_its_end(log):
    log, out = log
    logs.set_command("build")
    with log.stage("photos", 10, "photos") as advance:
        advance(4)
        advance(6)
    began, ended = events_of(out)
    assert {key: began[key] for key in ("event", "command", "stage", "n")} == {
        "event": "stage began",
        "command": "build",
        "stage": "photos",
        "n": 10,
    }
    assert (ended["event"], ended["n"], ended["seconds"]) == ("stage ended", 10, 1)
    assert ended["time"].endswith("Z")


def test_a_failed_stage_does_not_report_an_end(log):
    log, out = log
    with pytest.raises(ZeroDivisionError), log.stage("labels"):
        raise ZeroDivisionError
    assert [one["event"] for one in events_of(out)] == ["stage began"]


def test_ctrl_c_is_an_event(log):
    log, out = log
    log.stop()
    assert [one["text"] for one in events_of(out)] == [logs.STOPPING]


def test_printed_lines_become_events(log, monkeypatch):
    log, out = log
    monkeypatch.setattr(sys, "stderr", log)
    print("one\ntwo", file=sys.stderr)
    print("half", end="", file=sys.stderr)
    log.fail(InputError("No face in /home/me/me and you.jpg", "a face", "features predict OTHER.PNG"))
    log.end(1)
    events = events_of(out)
    assert [one.get("text") for one in events[:2]] == ["one", "two"]
    assert "jpg" not in out.getvalue()
    assert "PNG" not in out.getvalue()
    assert events[-1]["exit"] == 1
    assert {one["level"] for one in events[-2:]} == {"error"}


def test_records_of_libraries_keep_their_level_logger_and_traceback(log):
    log, out = log
    logger = logging.Logger("aiohttp.server")
    logger.addHandler(log.handler)
    try:
        raise ValueError("on\ntwo lines, of me.jpg")
    except ValueError:
        logger.exception("a handler of %s failed", "mine")
    (event,) = events_of(out)
    assert (event["level"], event["event"], event["logger"]) == ("error", "message", "aiohttp.server")
    text = event["text"].splitlines()
    assert (text[0], text[1], text[-1]) == (
        "a handler of mine failed",
        "Traceback (most recent call last):",
        "two lines, of (picture)",
    )


def test_a_record_of_a_library_is_logged_once(tmp_path):
    program = (
        "import logging, sys; from photogenic.app.terminal import logs; logs.begin('json'); logs.set_command('build');"
        "logging.getLogger('a.b').warning('beware of %s', 'dogs'); logging.getLogger('a.b').info('never mind');"
        "logging.disable(); sys.stderr.end(0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["event"], one["level"], one.get("text")) for one in events] == [
        ("began", "info", None),
        ("message", "warning", "beware of dogs"),
        ("ended", "info", None),
    ]


def test_stderr_has_json_lines_only(tmp_path):
    def run(*arguments):
        command = [FEATURES, "--log-format", "json", *arguments, "--store", tmp_path / "store"]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    (tmp_path / "users.csv").write_text("user_id\na\n")
    done = run("ingest", "users", "users.csv")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["event"] for one in events] == ["began", "stage began", "stage ended", "file", "ended"]
    assert {one["command"] for one in events} == {"ingest users"}
    failed = run("ingest", "users", "absent.csv")
    assert failed.returncode == 1
    events = [json.loads(line) for line in failed.stderr.splitlines()]
    assert (events[-2]["error"], events[-1]["exit"]) == ("InputError", 1)
    wrong = run("ingest", "users", "users.csv", "--nothing")
    assert wrong.returncode == 2
    assert json.loads(wrong.stderr.splitlines()[-1])["exit"] == 2

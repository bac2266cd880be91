import sys

import pytest

from photogenic.app.terminal.progress import Bars, Lines, console_progress


def test_lines_are_printed_for_long_stages_only(capsys):
    now = 0.0
    lines = Lines(clock=lambda: now)
    with lines.stage("short", 3, "files") as advance:
        advance(3)
    with lines.stage("faces", 4000, "photos") as advance:
        for _ in range(4):
            now += 20
            advance(1000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "faces: 2,000 of 4,000 photos after 40 s",
        "faces: 4,000 of 4,000 photos after 80 s",
        "faces: 4,000 photos in 80.0 s",
    ]


def test_lines_without_a_total(capsys):
    now = 0.0
    with Lines(clock=lambda: now).stage("labels"):
        now += 3
    assert capsys.readouterr().err == "labels: 3.0 s\n"


def test_a_failed_stage_does_not_report_an_end(capsys):
    now = 0.0
    with pytest.raises(ZeroDivisionError), Lines(clock=lambda: now).stage("labels"):
        now += 3
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""


def test_bars_nest_keep_notes_and_stay_off_stdout(capsys):
    bars = Bars()
    with bars.stage("outer", 2) as outer:
        with bars.stage("inner", 10, "photos") as inner:
            inner(10)
            bars.note("kept [bold] as written")
        outer(2)
    bars.note("after")
    with pytest.raises(ZeroDivisionError), bars.stage("again"):
        raise ZeroDivisionError
    with bars.stage("and again"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "kept [bold] as written" in err
    assert "after" in err


def test_bars_on_a_terminal_only(monkeypatch):
    assert isinstance(console_progress()._listener, Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(console_progress()._listener, Bars)

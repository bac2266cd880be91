import io
import sys

import pytest

from photogenic.app.terminal.logs import STOPPING
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
        "faces: 2,000 of 4,000 photos after 40 s (50/s, 0:40 left)",
        "faces: 4,000 of 4,000 photos after 80 s (50/s)",
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
            bars.note("kept [bold] :smile: as written\x1b[2J")
        outer(2)
    bars.note("after")
    with pytest.raises(ZeroDivisionError), bars.stage("again"):
        raise ZeroDivisionError
    with bars.stage("and again"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "kept [bold] :smile: as written\\x1b[2J" in err
    assert "after" in err


def test_bars_on_a_terminal_only(monkeypatch):
    assert isinstance(console_progress()._listener, Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(console_progress()._listener, Bars)
    for name in ("dumb", "unknown"):
        monkeypatch.setenv("TERM", name)
        assert isinstance(console_progress()._listener, Lines)
    monkeypatch.delenv("TERM")
    assert isinstance(console_progress()._listener, Lines)


@pytest.fixture
def drawn():
    """Return a function that draws two open stages at a width, after two minutes."""
    now = 0.0

    def draw(width):
        nonlocal now
        bars = Bars(clock=lambda: now)
        bars._live = object()  # nothing is drawn by itself
        with bars.stage("heads on 884 photos", 36, "heads") as stopped:
            with bars.stage("updates", 4500, "updates", at_most=True) as advance:
                for n in range(120):
                    now += 1
                    advance(5)
                    stopped(n % 10 == 9)
                lines = bars.drawn(width).splitlines()
            bars._live = None
        return lines

    return draw


def test_a_bar_has_the_count_the_total_the_rate_the_elapsed_and_the_remaining_time(drawn):
    assert [" ".join(line.split()) for line in drawn(120)] == [
        f"heads on 884 photos {'━' * 12}{'─' * 26} 12 of 36 heads 6/min 2:00 4:00 left",
        f"updates {'━' * 5}{'─' * 33} 600 of up to 4,500 updates 5/s 2:00 at most 13:00 left",
    ]


@pytest.mark.parametrize("width", [120, 80, 60, 40, 20, 8, 1])
def test_bars_fit_into_the_terminal_and_keep_name_and_count_longest(drawn, width):
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert "12 of 36 heads" in lines[0]
        assert "600 of up to 4,500 updates" in lines[1]


def test_a_stage_that_just_began_draws_nothing():
    bars = Bars(clock=lambda: 0.0)
    bars._live = object()
    with bars.stage("labels", 3):
        assert bars.drawn(80) == ""
        bars._live = None


def test_a_stage_of_unknown_length_draws_no_bar():
    now = 0.0
    bars = Bars(clock=lambda: now)
    bars._live = object()
    with bars.stage("swipes", None, "rows") as advance:
        now = 10.0
        advance(5000)
        assert bars.drawn(80) == "swipes  5,000 rows  500/s  0:10"
        bars._live = None


def test_bars_end_at_once_and_no_later_stage_is_drawn(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bars = Bars()
    with bars.stage("photos", 10, "photos"):
        bars.stop()
        with bars.stage("labels", 3):
            assert bars._live is None
    assert sys.stderr.getvalue().endswith(f"{STOPPING}\n")


def test_lines_end_at_once(capsys):
    now = 0.0
    lines = Lines(clock=lambda: now)
    with lines.stage("photos", 10, "photos") as advance:
        lines.stop()
        now = 100.0
        advance(10)
    assert capsys.readouterr().err == f"{STOPPING}\n"

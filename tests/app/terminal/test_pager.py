import io
import sys

import pytest

from photogenic.app.terminal.pager import Screen


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def pager(monkeypatch, tmp_path):
    """A pager that keeps what it is given, in a terminal of ten lines."""
    script, kept = tmp_path / "pager.py", tmp_path / "kept"
    script.write_text(
        "import os, sys\nkept, *options = sys.argv[1:]\n"
        "open(kept, 'w').write(os.environ['LESS'] + ' '.join(options) + '\\n')\n"
        "n = 1 if 'leave' in options else -1\nopen(kept, 'ab').write(sys.stdin.buffer.read(n))\n"
    )
    monkeypatch.setenv("PAGER", f"{sys.executable} {script} {kept}")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("LESS", raising=False)
    monkeypatch.setattr(sys, "stdin", Terminal())
    return kept


def shown(text, out=None):
    out = out or Terminal()
    screen = Screen(out)
    screen.write(text)
    screen.show()
    return out.getvalue()


def test_a_result_longer_than_the_screen_goes_to_the_pager(pager):
    text = "".join(f"👩‍🚀 {n}\n" for n in range(50))
    assert shown(text) == ""
    assert pager.read_text() == f"SRX\n{text}"


def test_a_result_that_fits_does_not(pager):
    assert shown("x\n" * 8) == "x\n" * 8
    assert not pager.exists()


def test_output_to_a_file_or_a_pipe_does_not(pager):
    assert shown("x\n" * 50, io.StringIO()) == "x\n" * 50
    assert not pager.exists()


def test_a_user_who_leaves_early_sees_no_error(pager, monkeypatch):
    import os

    monkeypatch.setenv("PAGER", f"{os.environ['PAGER']} leave")
    assert shown("x\n" * 500_000) == ""
    assert pager.read_text() == "SRXleave\nx"


@pytest.mark.parametrize("command", ["", "no-such-pager", "'unclosed"])
def test_without_a_pager_everything_is_written(pager, monkeypatch, command):
    monkeypatch.setenv("PAGER", command)
    assert shown("x\n" * 50) == "x\n" * 50


def test_a_terminal_that_cannot_page_gets_everything(pager, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert shown("x\n" * 50) == "x\n" * 50

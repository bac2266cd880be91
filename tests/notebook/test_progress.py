"""Progress in notebooks: one output per cell, updated, with escaped names; nothing outside of a kernel."""

import sys
import types

import pytest

from photogenic import FeatureStore
from photogenic.notebook.progress import NotebookBars, notebook_progress
from photogenic.warehouse.progress import no_progress


class Shell:
    """A shell of IPython that keeps what is published."""

    def __init__(self):
        self.execution_count, self.kernel, self.sent = 1, object(), []
        self.display_pub = self

    def publish(self, data, *, transient, update):
        self.sent.append((transient["display_id"], update, data))


@pytest.fixture
def shell():
    return Shell()


def test_a_stage_is_one_output_that_is_updated(shell):
    now = [0.0]
    bars = NotebookBars(shell, lambda: now[0])
    with bars.stage("Embedding", 100, "photos") as advance:
        for _ in range(10):
            now[0] += 0.5
            advance(10)
    displays = {display for display, _, _ in shell.sent}
    assert len(displays) == 1
    assert [update for _, update, _ in shell.sent] == [False] + [True] * 11
    assert '<progress value="50" max="100"' in shell.sent[5][2]["text/html"]
    assert "50 of 100 photos" in shell.sent[5][2]["text/plain"]
    assert shell.sent[-1][2]["text/html"] == (
        '<div class="photogenic-progress"><div>Embedding: 100 photos in 0:05</div></div>'
    )


def test_updates_are_few_and_short_stages_leave_nothing(shell):
    now = [0.0]
    bars = NotebookBars(shell, lambda: now[0])
    with bars.stage("Counting") as advance:
        for _ in range(10_000):
            now[0] += 0.0001
            advance(1)
    assert len(shell.sent) <= 2 + 5
    assert "Counting" not in shell.sent[-1][2]["text/html"]


def test_stages_inside_stages_and_the_next_cell(shell):
    bars = NotebookBars(shell)
    with bars.stage("Outer"), bars.stage("Inner", 0, "rows"):
        assert shell.sent[-1][2]["text/html"].count("<progress") == 2
    first = shell.sent[-1][0]
    shell.execution_count = 2
    with bars.stage("Later"):
        assert shell.sent[-1][:2] != (first, True)
    assert shell.sent[-1][0] != first


def test_a_name_is_no_markup_and_a_failure_ends_the_bar(shell):
    bars = NotebookBars(shell)
    with pytest.raises(RuntimeError), bars.stage("<b>\"'"):
        assert "&lt;b&gt;&quot;" in shell.sent[-1][2]["text/html"]
        assert "<b>" not in shell.sent[-1][2]["text/html"]
        raise RuntimeError
    assert "<progress" not in shell.sent[-1][2]["text/html"]


def test_a_note_is_a_line_on_stderr(shell, capsys):
    NotebookBars(shell).note("A note.")
    assert capsys.readouterr().err == "A note.\n"


def test_a_store_picks_bars_in_a_kernel_only(tmp_path, monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    with FeatureStore(tmp_path / "store") as store, store.progress.stage("Waiting"):
        assert shell.sent
    with FeatureStore(tmp_path / "store", progress=no_progress) as store:
        n = len(shell.sent)
        with store.progress.stage("Waiting"):
            assert len(shell.sent) == n
    shell.kernel = None
    assert notebook_progress() is None
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert notebook_progress() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_progress() is None

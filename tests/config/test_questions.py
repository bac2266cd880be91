"""A build that changes label options asks on a terminal, and needs --yes elsewhere."""

import os
import pty
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.warehouse.errors import ConflictError

CHANGE = "min_swipes 1 -> 3. 3 labels before: 1 vanish, 0 appear, 0 change value or weight, 0 cross the median."


def n_labels():
    return FeatureStore("store").sql("select count(*) from photo_labels").item()


def build(*words):
    return CliRunner().invoke(program, ["build", "--only", "labels", *words])


def test_without_a_terminal_nothing_is_changed(built):
    before = (built / "store/snapshot.duckdb").stat().st_mtime_ns
    done = build("--min-swipes", "3")
    assert isinstance(done.exception, ConflictError)
    assert CHANGE in str(done.exception)
    assert "Expected: --yes" in str(done.exception)
    assert (built / "store/snapshot.duckdb").stat().st_mtime_ns == before


def test_the_answer_is_an_option(built):
    assert build("--min-swipes", "3", "--yes").exit_code == 0
    assert n_labels() == 2
    assert build().exit_code == 0  # the nightly build without options
    assert n_labels() == 2
    assert isinstance(build("--label-defaults").exception, ConflictError)
    assert build("--label-defaults", "--yes").exit_code == 0
    assert n_labels() == 3


def test_a_file_that_changes_them_needs_the_answer_too(built):
    (built / "photogenic.toml").write_text("[labels]\nmin_swipes = 3")
    assert isinstance(build().exception, ConflictError)
    assert build("--label-defaults").exit_code == 0  # the defaults are the options of the last build
    assert n_labels() == 3
    assert build("--yes").exit_code == 0
    assert n_labels() == 2


def test_the_first_build_and_a_store_without_labels_are_not_asked(folder):
    assert build("--min-swipes", "100").exit_code == 0
    assert n_labels() == 0
    assert build("--min-swipes", "3").exit_code == 0
    assert n_labels() == 2


def test_a_plan_says_it(built):
    done = build("--plan", "--min-swipes", "3")
    assert done.exit_code == 0
    assert CHANGE in done.stderr
    assert n_labels() == 3


def test_the_exit_code_is_that_of_a_wrong_command_line(built):
    program = "import sys; from photogenic.app.cli.main import main; sys.argv[0] = 'features'; main()"
    words = [sys.executable, "-c", program, "build", "--only", "labels", "--min-swipes", "3"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("This build would change the labels that everybody reads, and nothing was changed.")


@pytest.mark.parametrize(("answer", "n", "code"), [("y", 2, 0), ("n", 3, 1)])
def test_on_a_terminal_it_asks(built, answer, n, code):
    program = "import sys; from photogenic.app.cli.main import main; sys.argv[0] = 'features'; main()"
    words = [sys.executable, "-c", program, "build", "--only", "labels", "--min-swipes", "3"]
    here, there = pty.openpty()
    try:
        with subprocess.Popen(words, stdin=there, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            os.write(here, f"{answer}\n".encode())
            _, said = running.communicate(timeout=60)
    finally:
        os.close(here)
        os.close(there)
    assert CHANGE in said
    assert "Build with these label options? [y/N]" in said
    assert running.returncode == code
    assert n_labels() == n

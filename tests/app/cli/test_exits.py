"""What a shell sees of the program: exit codes, the two streams, and how long it waits."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")
ENDLESS = "select count(*) from range(1000000000) a, range(1000) b where (a.range * b.range) % 7 = 3"


@pytest.fixture
def features(swipes_db):
    def run(*arguments, **options):
        return subprocess.run(
            [FEATURES, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"FEATURES_STORE": str(swipes_db.layout.root), **options.pop("env", {})},
            **options,
        )

    return run


def test_0_and_only_data_on_stdout(features):
    done = features("sql", "select * from swipes", "--format", "json", "--limit", "3")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 3
    assert done.stderr == "There are more.\n"


def test_1_one_message_in_three_beats_and_no_traceback(features, tmp_path):
    failed = features("sql", "select 1", "--store", str(tmp_path / "none"))
    assert (failed.returncode, failed.stdout) == (1, "")
    what, expected, remedy = failed.stderr.splitlines()
    assert what.startswith("There is no store at")
    assert expected.startswith("Expected: ")
    assert remedy.startswith("Try: features ")


def test_1_also_for_settings_of_the_environment(features):
    failed = features("sql", "select 1", env={"FEATURES_THREADS": "many"})
    assert failed.returncode == 1
    assert "FEATURES_THREADS is 'many'." in failed.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["sql", "--nonsense"], ["sql", "--limit", "few"]])
def test_2_for_a_wrong_command_line(features, arguments):
    failed = features(*arguments)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr


def reads(pid, root):
    """Whether a process has a database of the store open."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            path = fd.readlink()
            if path.is_relative_to(root) and path.suffix == ".duckdb":
                return True
    return False


@pytest.mark.parametrize(
    ("asks", "code", "said"),
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, "Ended by SIGTERM.")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_130_when_interrupted_and_143_when_terminated(swipes_db, asks, code, said):
    process = subprocess.Popen(
        [FEATURES, "sql", ENDLESS, "--store", swipes_db.layout.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    while not reads(process.pid, swipes_db.layout.root):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(asks)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert (out, err[: len(said)], err.count("\n")) == ("", said, bool(said))


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_reader_that_leaves_early_hears_no_complaint(swipes_db, form):
    query = "select range, 'x' || range from range(200000)"
    with subprocess.Popen(
        [FEATURES, "sql", query, "--format", form, "--limit", "200000", "--store", swipes_db.layout.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141, "128 + SIGPIPE, as of other programs whose reader has left"


def test_a_bug_shows_its_traceback(features, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import photogenic.app.terminal.catalog\nphotogenic.app.terminal.catalog.relation = lambda name: 1 / 0\n",
        encoding="utf-8",
    )
    failed = features("sql", "--show", "swipes", env={"PYTHONPATH": str(tmp_path)})
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
    assert "ZeroDivisionError" in failed.stderr


def test_version_names_the_package_the_store_format_and_python(features):
    python = platform.python_version()
    start = f"photogenic {version('photogenic')} (store schema {SCHEMA_VERSION}, Python {python}, "
    assert features("--version").stdout.startswith(start)

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


def test_1_no_message_controls_the_terminal(features):
    failed = features("sql", "select error(chr(27) || '[2J' || chr(8238) || chr(13))")
    assert failed.returncode == 1
    assert failed.stderr.startswith("\\x1b[2J\\u202e\\r: select error(")


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


AT_WORK = """
import os, signal, sys, threading, time
from photogenic.app.cli.commands import demo
from photogenic.app.terminal.progress import console_progress
import photogenic.app.demo.demo as world

def run_demo(store, *, progress, **options):
    with progress.stage("photos", 10, "photos"):
        try:
            for number in signals:
                os.kill(os.getpid(), number)
            time.sleep(20)
        finally:
            time.sleep(finishes_s)

world.run_demo = run_demo
signal.signal(signal.SIGINT, signal.default_int_handler)
from photogenic.app.cli.main import main
sys.argv = ["features", "demo"]
main()
"""


@pytest.mark.parametrize(
    ("signals", "finishes_s", "code", "said"),
    [
        (["SIGINT"], 0.2, 130, ["Stopping after this batch; finished work is kept."]),
        (
            ["SIGTERM"],
            0.2,
            143,
            [
                "Stopping after this batch; finished work is kept.",
                "Ended by SIGTERM. Finished work is kept; run the same command again to continue.",
            ],
        ),
    ],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_long_work_says_at_once_that_it_stops(tmp_path, signals, finishes_s, code, said):
    numbers = ", ".join(f"signal.{name}" for name in signals)
    script = f"finishes_s = {finishes_s}\nimport signal\nsignals = [{numbers}]\n{AT_WORK}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=15, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (code, "", said)


def test_the_json_log_names_the_command_that_stops(tmp_path):
    script = f"finishes_s = 0.2\nimport signal\nsignals = [signal.SIGTERM]\n{AT_WORK}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
        cwd=tmp_path,
        env={**os.environ, "FEATURES_LOG_FORMAT": "json"},
    )
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["command"] for event in events} == {"demo"}


def test_work_that_ends_faster_than_it_can_say_so_says_so_too(tmp_path):
    script = "finishes_s = 0\nimport signal\nsignals = [signal.SIGINT]\n" + AT_WORK.replace(
        "main()\n", "import photogenic.app.cli.termination as t\nt.call_on_signal = lambda call: None\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=15, cwd=tmp_path
    )
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["Stopping after this batch; finished work is kept."]


def test_a_library_that_makes_another_error_of_ctrl_c_causes_no_traceback(tmp_path):
    script = "finishes_s = 0.5\nimport signal\nsignals = [signal.SIGINT]\n" + AT_WORK.replace(
        "            time.sleep(finishes_s)",
        "            time.sleep(finishes_s)\n            raise AttributeError('core')",
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=15, cwd=tmp_path
    )
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["Stopping after this batch; finished work is kept."]


def test_a_second_ctrl_c_ends_work_that_does_not_stop(tmp_path):
    script = f"finishes_s = 60\nimport signal\nsignals = [signal.SIGINT]\n{AT_WORK}"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stderr.readline().startswith("Stopping after this batch")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""


def test_a_second_signal_of_another_kind_ends_the_work_too(tmp_path):
    script = f"finishes_s = 60\nimport signal\nsignals = [signal.SIGTERM]\n{AT_WORK}"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stderr.readline().startswith("Stopping after this batch")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (130, 143)


KEPT = """
import builtins, os
class Left:
    def __del__(self, write=os.write):
        write(2, b"leaked")
builtins.kept = Left()
"""


def test_objects_that_are_left_at_the_end_print_nothing(tmp_path, swipes_db):
    assert "leaked" in subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True).stderr
    (tmp_path / "sitecustomize.py").write_text(KEPT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "FEATURES_STORE": str(swipes_db.layout.root)}
    for arguments, code in ((["select 42"], 0), (["select nothing"], 1), (["--nonsense"], 2)):
        done = subprocess.run(
            [FEATURES, "sql", *arguments], capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        assert (done.returncode, "leaked" in done.stderr) == (code, False)
        assert ("42" in done.stdout) == (code == 0)


def test_the_whole_output_leaves_and_exit_functions_run(tmp_path, swipes_db):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys, threading, time\n"
        "def late():\n    time.sleep(0.3)\n    print('a thread', file=sys.stderr)\n"
        "def at_end():\n    print('at the end', file=sys.stderr)\n"
        "import photogenic.app.terminal.output as output\n"
        "former = output.print_table\n"
        "def print_table(*given, **options):\n"
        "    atexit.register(at_end)\n    threading.Thread(target=late).start()\n    former(*given, **options)\n"
        "output.print_table = print_table\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [FEATURES, "sql", "select range from range(100000)", "--format", "csv", "--store", swipes_db.layout.root],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert (done.returncode, done.stdout.count("\n"), done.stdout.endswith("99999\n")) == (0, 100_001, True)
    assert done.stderr.splitlines() == ["a thread", "at the end"]


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
        "import photogenic.app.terminal.catalog\nphotogenic.app.terminal.catalog.relation_sql = lambda *given: 1 / 0\n",
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

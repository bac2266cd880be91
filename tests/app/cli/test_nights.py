"""Exit codes of a night without a person: 3 after an ingest, 4 after a check, in every form of output."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")
BAD = "sender_id,recipient_id,liked,swiped_at\na,b,yes,2024-01-01\na,c,glorp,2024-01-01\n"


@pytest.fixture
def features(tmp_path):
    (tmp_path / "bad.csv").write_text(BAD)

    def run(*arguments, shell=None):
        words = (
            [str(FEATURES), *arguments] if shell is None else ["bash", "-c", shell.replace("features", str(FEATURES))]
        )
        return subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=os.environ | {"FEATURES_STORE": "store"},
        )

    return run


def message(done):
    """Return the lines on stderr without those of stages, which a slow machine prints."""
    return [line for line in done.stderr.splitlines() if not re.fullmatch(r"[a-z ]+: .*\b\d+\.\d s", line)]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_3_with_the_reports_on_stdout_and_one_message(features, form):
    done = features("ingest", "swipes", "bad.csv", "--max-refused", "1%", "--format", form)
    assert done.returncode == 3
    assert "bad_liked" in done.stdout
    what, expected, remedy = message(done)
    assert what.startswith("1 of 2 rows of swipes (50 %) was refused: bad_liked 1, for example in bad.csv.")
    assert expected == "Expected: at most 1 % refused (--max-refused)"
    assert features(shell=remedy.removeprefix("Try: ")).stdout.count("bad_liked") == 1
    if form == "json":
        assert [one["n_refused"] for one in json.loads(done.stdout)] == [1]
    assert features("sql", "select count(*) from swipes", "--format", "csv").stdout.splitlines()[-1] == "1"


def test_3_and_4_also_if_nobody_reads_the_output(features):
    done = features(shell="features ingest swipes bad.csv --max-refused 0 | head -0; exit ${PIPESTATUS[0]}")
    assert done.returncode == 3
    assert message(done)[0].startswith("1 of 2 rows")
    done = features(shell="features status --check --format json | head -0; exit ${PIPESTATUS[0]}")
    assert done.returncode == 4


@pytest.mark.parametrize("threshold", ["nan", "-1%", "101%", "1e9"])
def test_1_for_a_threshold_that_is_none(features, threshold):
    done = features("ingest", "swipes", "bad.csv", "--max-refused", threshold)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--max-refused is '{threshold}'." in done.stderr


def test_2_for_a_threshold_of_checks_without_check(features):
    done = features("status", "--max-age", "26h")
    assert done.returncode == 2
    assert "--max-age needs --check" in done.stderr


def test_json_logs_have_counts_and_levels(features):
    done = features("--log-format", "json", "ingest", "swipes", "bad.csv", "--least-rows", "5")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    [file] = [line for line in lines if line["event"] == "file"]
    assert (file["level"], file["n_new"], file["n_known"], file["refused"]) == ("warning", 1, 0, {"bad_liked": 1})
    assert [line["error"] for line in lines if line["event"] == "error"] == ["ThresholdError"]
    assert (lines[-1]["event"], lines[-1]["level"], lines[-1]["exit"]) == ("ended", "error", 3)
    done = features("--log-format", "json", "status", "--check")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["name"]: line["level"] for line in lines if line["event"] == "check"} == {
        "labels": "error",
        "labels of": "info",
        "last build": "error",
    }
    assert lines[-1]["exit"] == 4


def test_a_night_from_the_first_file_to_a_green_check(features):
    assert features("ingest", "swipes", "bad.csv").returncode == 0
    assert features("status", "--check").returncode == 4
    assert features("build", "--only", "labels").returncode == 0
    done = features("status", "--check", "--max-age", "26h", "--format", "json")
    assert done.returncode == 0, done.stdout
    assert all(one["ok"] and not one["remedy"] for one in json.loads(done.stdout))
    assert features("status", "--check", "--max-refused", "1%").returncode == 4
    assert features("status", "--check", "--max-age", "0s").returncode == 4


def test_a_killed_build_fails_the_check_until_the_next_one(features, tmp_path):
    rows = "".join(f"a{n},b{n % 999},{'yes' if n % 3 else 'no'},2024-01-01\n" for n in range(300_000))
    (tmp_path / "swipes.csv").write_text("sender_id,recipient_id,liked,swiped_at\n" + rows)
    features("ingest", "swipes", "swipes.csv")
    record = tmp_path / "store" / "build.json"
    with subprocess.Popen(
        [FEATURES, "build", "--only", "labels", "--store", tmp_path / "store"], stderr=subprocess.DEVNULL
    ) as build:
        deadline = time.monotonic() + 60
        while not record.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        build.send_signal(signal.SIGKILL)
    done = features("status", "--check", "--format", "json")
    assert done.returncode == 4
    assert {one["name"]: one["value"] for one in json.loads(done.stdout)}["last build"] == "killed"
    assert features("build", "--only", "labels").returncode == 0
    assert features("status", "--check").returncode == 0

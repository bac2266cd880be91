"""`features test`: exit codes, and what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")
RECEIVED = """-- received: swipes that each user received.
--
-- grain:  user_id
-- reads:  swipes
-- time:   as of the clock
-- source: test
select
    cast(recipient_id as varchar) as user_id, -- who
    cast(count(*) as bigint) as n             -- swipes
from swipes
group by recipient_id
"""
EXAMPLE = """[[example]]
name = "one"
swipes = '''
recipient_id
ann
ann
'''
expect = '''
user_id | n
ann     | 2
'''
"""


@pytest.fixture
def features(tmp_path):
    folder = tmp_path / "lab"
    (folder / "relations").mkdir(parents=True)
    (folder / "photogenic.toml").write_text('[project]\nname = "lab"\nid = "0123456789ab"\n')
    (folder / "relations" / "received.sql").write_text(RECEIVED)
    (folder / "relations" / "other.sql").write_text(RECEIVED.replace("received:", "other:"))

    def run(examples, *arguments):
        (folder / "relations" / "received.examples.toml").write_text(examples)
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "FEATURES_STORE": str(tmp_path / "none")}
        return subprocess.run(
            [FEATURES, "test", "--project", str(folder), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            env=environment,
        )

    return run


def test_examples_that_pass_end_with_0(features):
    done = features(EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "Without examples: other.\n")
    assert done.stdout.splitlines()[-1].split()[:3] == ["received", "one", "passed"]
    done = features(EXAMPLE, "received", "--format", "json")
    ((record,), err) = json.loads(done.stdout), done.stderr
    assert (record["relation"], record["status"], record["missing"], err) == ("received", "passed", [], "")


def test_an_example_that_fails_ends_with_4_and_shows_its_rows(features):
    other = EXAMPLE.replace("ann     | 2", "ann     | 3\nNULL    | 1\n' x'    | 1")
    done = features(other)
    assert done.returncode == 4
    assert done.stdout.splitlines()[-5:] == [
        "  2 expected, and not there:",
        "    user_id = NULL, n = 1",
        "    user_id = ' x', n = 1",
        "  1 with other values:",
        "    user_id = ann: n is 2, expected 3",
    ]
    assert done.stderr.endswith("1 of 1 examples failed.\n")
    done = features(other, "--format", "json")
    assert done.returncode == 4
    (record,) = json.loads(done.stdout)
    assert record["changed"] == [{"key": {"user_id": "ann"}, "values": {"n": {"expected": 3, "found": 2}}}]


def test_a_file_that_cannot_be_read_ends_with_1(features):
    done = features(EXAMPLE.replace("ann     | 2", "ann     | two"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "received.examples.toml:10:11: example 'one': 'two' is no bigint for n." in done.stderr
    done = features("")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No relation has examples." in done.stderr
    assert features("", "other").stderr.startswith("other: no examples.")


def test_a_relation_that_no_build_could_use_ends_with_4_without_examples(features, tmp_path):
    (tmp_path / "lab" / "relations" / "other.sql").write_text("select 1")
    done = features(EXAMPLE)
    assert done.returncode == 4
    assert "must begin with `-- other: what a row is`" in done.stdout
    assert done.stderr == "1 of 2 examples failed.\n"
    assert features(EXAMPLE, "received").returncode == 0
    assert features(EXAMPLE, "other").returncode == 4

"""Run the smallest demo once for all tests that read its store.

    python -m tests.app.demo.small_demo FOLDER

The store is FOLDER/store, as `features demo --users 200` makes it; FOLDER/demo.pickle holds what it printed and found.
"""

import pickle
import subprocess
import sys
from pathlib import Path

USERS = 200
ROOT = Path(__file__).parents[3]


def make(folder):
    """Run the demo in a process of its own, whose memory is free afterwards."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.app.demo.small_demo", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def read(folder):
    """Return the findings of the demo and the lines that it printed."""
    return pickle.loads((folder / "demo.pickle").read_bytes())


def main(folder):
    from photogenic.app.demo.demo import run_demo

    folder.mkdir(parents=True)
    lines = []
    findings = run_demo(folder / "store", users=USERS, print_line=lines.append)
    (folder / "demo.pickle").write_bytes(pickle.dumps((findings, lines)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

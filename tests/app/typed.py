"""Run commands of `features` in a folder, in forks of a process that has imported all modules."""

import os
import sys
from pathlib import Path

HEADS_SOON = {"learning_rates": (1e-3, 1e-2), "least_updates": 300}
"""A small part of the published grid, to test that a command trains. Tests of models test how well heads learn."""


def typed(folder, *words):
    """Run a command in a folder. The process ends with its exit code."""
    from photogenic.app.cli.main import main

    for name in ("FEATURES_ENCODERS", "FEATURES_LOCK_TIMEOUT", "FEATURES_MEMORY_LIMIT", "FEATURES_THREADS"):
        os.environ.pop(name, None)  # the tests of faults set these
    os.chdir(folder)
    sys.argv = ["features", *words]
    main()


def typed_quickly(folder, *words):
    """Run a command in a folder with a small grid of heads."""
    soon()
    typed(folder, *words)


def script(folder, text):
    """Run a Python script in a folder with a small grid of heads."""
    soon()
    os.chdir(folder)
    exec(compile(text, str(Path(folder) / "script.py"), "exec"), {"__name__": "__main__"})


def soon():
    from photogenic.models.heads.grid import PUBLISHED_GRID
    from photogenic.models.heads.train_stack import PUBLISHED

    object.__setattr__(PUBLISHED, "least_updates", HEADS_SOON["least_updates"])
    object.__setattr__(PUBLISHED_GRID, "learning_rates", HEADS_SOON["learning_rates"])

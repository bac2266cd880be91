"""app: the doors.

In: what a person types or a browser asks. Out: tables, CSV or JSON on stdout, messages on stderr,
pages. A door opens the store, calls one function of the rooms below and shows what came back;
nothing is decided here, and no other room imports this one.
"""

# ruff: noqa: PTH100, PTH119, PTH120 - pathlib is not loaded yet, and might be found in that folder

import os
import sys

__all__: list[str] = []


def _put_yours_last() -> None:
    """What $PYTHONPATH adds is looked at last: your `random.py` is not Python's own, nor is your `sql.py` ours.

    With `PYTHONPATH=.` the first folder would be that where one types.
    """
    added = {os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep)}
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    yours = [folder for folder in sys.path if folder != home and os.path.abspath(folder) in added]
    sys.path[:] = [folder for folder in sys.path if folder not in yours]
    from photogenic.warehouse.processes.launch import append_module_folders

    append_module_folders(yours)


# Only in the program itself, and before anything is imported that Python has not loaded by itself.
if os.environ.get("PYTHONPATH") and os.path.basename(getattr(sys, "argv", [""])[0]) == "features":
    _put_yours_last()

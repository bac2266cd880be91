"""app: interfaces to a store: the command line, the HTTP server with its pages, the report and the demo.

Input: command lines and HTTP requests. Output: tables, CSV or JSON on stdout, messages on stderr, HTML and JSON.
An interface opens the store, calls one function of the packages below and shows the result. Only photogenic.store
stands beside this package; no other package imports it.
"""

# ruff: noqa: PTH100, PTH119, PTH120 - pathlib is not loaded yet, and might be found in that folder

import os
import sys

__all__: list[str] = []


def _append_pythonpath_folders() -> None:
    """Search the folders of $PYTHONPATH last, so that a user's `random.py` or `sql.py` hides no module of the program.

    With `PYTHONPATH=.` the working folder would be searched first.
    """
    added = {os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep)}
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    added_folders = [folder for folder in sys.path if folder != home and os.path.abspath(folder) in added]
    sys.path[:] = [folder for folder in sys.path if folder not in added_folders]
    from photogenic.warehouse.processes.launch import append_module_folders

    append_module_folders(added_folders)


# Only in the program `features`, and before any import beyond the modules that Python loads at its start.
if os.environ.get("PYTHONPATH") and os.path.basename(getattr(sys, "argv", [""])[0]) == "features":
    _append_pythonpath_folders()

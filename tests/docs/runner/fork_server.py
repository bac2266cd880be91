"""Answer `features` commands of pages in forks of one process that has imported everything.

A page is run by bash, with pipes and redirections. `features` on its PATH is `features_client.py`, which passes its
arguments, folder, environment and standard streams to this process over a Unix socket and ends with the exit code of
the fork. A fork starts in milliseconds, a new interpreter takes seconds to import torch and other libraries.

    with ForkServer(folder) as server:
        subprocess.run(["bash", "-c", "features status | head"], env=server.environment())
"""

from __future__ import annotations

import array
import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tests.app.typed import soon
from tests.docs.runner.pages import ROOT
from tests.faults.zygote import IMPORTED, SINGLE_THREADED, exit_code, run_features

__all__ = ["GRID", "ForkServer"]

GRID = "PAGES_GRID"
"""Environment variable of a command: `small` trains on a small part of the published grid of heads."""

_CLIENT = Path(__file__).with_name("features_client.py")


class ForkServer:
    """The process that forks, with the folder of its socket and of the `features` that calls it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.socket = folder / "socket"
        program = self.bin / "features"
        program.write_text(f"#!{sys.executable} -IS\n{_CLIENT.read_text()}")
        program.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(self.socket)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **SINGLE_THREADED, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the process that forks did not start"

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def environment(self) -> dict[str, str]:
        """Return the environment of the commands of a page: that of this process without settings of the program."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FEATURES_", "PYTEST_"))}
        path = os.pathsep.join((str(self.bin), str(Path(sys.executable).parent), kept["PATH"]))
        return {
            **kept,
            "PATH": path,
            "COLUMNS": "88",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT),
            "FORK_SERVER": str(self.socket),
        }


def main(path: str) -> None:
    """Accept one connection per command. The process that answers it starts the command and waits for its end."""
    for name in IMPORTED:
        __import__(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel removes ended children
        while True:
            connection, _ = listening.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                os._exit(_answer(connection))
            connection.close()


def _answer(connection: socket.socket) -> int:
    request, streams = _receive(connection)
    child = os.fork()
    if not child:
        connection.close()
        os._exit(_run(request, streams))
    for stream in streams:
        os.close(stream)
    end = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([end, connection], [], [])
        if end in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with contextlib.suppress(OSError):
                connection.sendall(bytes([code if code >= 0 else 128 - code]))
            return 0
        asked = connection.recv(1)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, asked[0] if asked else signal.SIGKILL)
        if not asked:
            return 0


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    descriptors = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for _, _, sent in ancillary:
        descriptors.frombytes(sent)
    size, body = int.from_bytes(data, "big"), b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return json.loads(body), list(descriptors)


def _run(request: dict[str, Any], streams: list[int]) -> int:
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if os.environ.get(GRID) == "small":
        soon()
    words = request["words"]
    return exit_code(_session if words == ["--python-session"] else lambda: run_features(words))


def _session() -> None:
    """Run Python blocks in one namespace: one JSON object per line in, one out."""
    import doctest

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, "")
    space: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        asked = json.loads(line)
        printed, failed = io.StringIO(), False
        with redirect_stdout(printed):
            try:
                if asked["language"] == "python":
                    exec(compile("\n" * asked["line"] + asked["text"], asked["page"], "exec"), space)
                else:
                    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                    examples = doctest.DocTestParser().get_doctest(
                        asked["text"], space, asked["page"], asked["page"], asked["line"]
                    )
                    examples.globs = space
                    run = doctest.DocTestRunner(optionflags=flags, verbose=False)
                    failed = run.run(examples, clear_globs=False, out=printed.write).failed > 0
            except BaseException:
                traceback.print_exc(file=printed)
                failed = True
        print(json.dumps({"failed": failed, "printed": printed.getvalue()}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

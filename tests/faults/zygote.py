"""Run `features` commands in forks of one process that has imported everything, and inject faults into them.

    with Zygote() as zygote:
        zygote.run("build", "--store", store, kill_at=7).code        -9

A new interpreter takes seconds to import torch and other libraries; a fork takes milliseconds. The process that forks
has one thread and no connection, so that a fork equals a new process. A fork leads a process group of its own, and the
whole group is killed. A change is an event of Python's audit hooks under the store: a file opened for writing, renamed,
removed or linked, a folder made or removed. For files that DuckDB writes there is `kill_after_s`.

The file of the running stages is not counted: it is written again every half second, so that a command had more
changes on a busy machine, and a kill before the last of them never came in the next run.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic.app.cli.command_table import COMMANDS
from photogenic.warehouse import Layout

ROOT = Path(__file__).parents[2]
_EVENTS = {
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("shutil.rmtree", "shutil.copyfile"),
}
_STAGES = Layout(Path("store")).underway.name
IMPORTED = (
    *(
        "photogenic.app.cli.main",
        "photogenic.store",
        *(f"photogenic.app.cli.commands.{entry.module}" for entry in COMMANDS.values() if entry.module),
        "duckdb",
        "polars",
        "pyarrow.parquet",
        "pyarrow.compute",
        "safetensors.numpy",
        "PIL.Image",
    ),
    *(
        "torch",
        "faiss",
        "mediapipe",
        "sklearn.linear_model",
        "scipy.stats",
        "photogenic.app.serve.http.server",
        "jinja2",
        "aiohttp",
    ),
    *(
        "photogenic.features.build",
        "photogenic.features.compute.pipeline",
        "photogenic.maintenance.erase.erase",
        "photogenic.maintenance.doctor.checks",
        "models",
        "photogenic.models.train",
    ),
    *(
        "photogenic.models.predict",
        "photogenic.ingest.tabular.load",
        "photogenic.ingest.download.fetch",
        "photogenic.ingest.instagram.crawl",
        "photogenic.app.report.report",
        "photogenic.features.search.searcher",
        "rich.table",
    ),
)
SINGLE_THREADED = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
"""Environment of a process that forks: a thread of a library would not be in the fork."""

_CALM = {
    **SINGLE_THREADED,
    "FEATURES_ENCODERS": "tests.faults.mean_colour",
    "FEATURES_MEMORY_LIMIT": "500MB",
    "FEATURES_THREADS": "1",
    "FEATURES_LOCK_TIMEOUT": "20",
    "COLUMNS": "200",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """Result of a command: exit code (-9: killed), output, and number of changes."""

    code: int
    out: str
    err: str
    changes: int
    seconds: float


class Zygote:
    """The parent process of the forks."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env={**os.environ, **_CALM, "PYTHONPATH": str(ROOT), **environment},
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it holds nothing, and takes seconds to let go of its libraries
        self._process.communicate()

    def run(self, *command: object, **asked: Any) -> Ended:
        """Run `features COMMAND...`, or with `call` a function of the tests, and see how it ends. See `_Fork`."""
        return self.ended(self.start(*command, **asked))

    def start(self, *command: object, **asked: Any) -> int:
        """Start a command and return its number."""
        return int(self._ask({"command": [str(word) for word in command], **asked})["pid"])

    def ended(self, pid: int) -> Ended:
        """Wait for the end of a command."""
        return Ended(**self._ask({"wait": pid}))

    def kill(self, pid: int) -> None:
        """Kill a command and all its children, as the kernel does when memory runs out."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks is gone"
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Fork:
    """One child process and its request.

    Asked for:
        command: of `features`; with `call`, a function `tests.MODULE:NAME` that takes these words, and whose answer
            is printed as JSON.
        root: the folder whose changes count; None: the word after --store.
        kill_at: number of the change before which the child is killed.
        kill_after_s: seconds after the start at which the child is killed.
        fail_at, errno: number of the first change that fails, as all later ones do, and the error.
        fsize: largest size of a file, in bytes.
        clock_s: seconds by which the clock is ahead of the true one.
        environment: additional environment variables.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        self._counter = mmap.mmap(-1, 8)
        self._files = [tempfile.TemporaryFile("w+b"), tempfile.TemporaryFile("w+b")]  # noqa: SIM115
        self.started = time.monotonic()
        self.deadline = self.started + asked["kill_after_s"] if "kill_after_s" in asked else None
        self.pid = os.fork()
        if not self.pid:
            os._exit(_child(asked, self._counter, *(file.fileno() for file in self._files)))

    def wait(self) -> dict[str, Any]:
        code = None
        while self.deadline is not None and code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= self.deadline:
                break
            else:
                time.sleep(0.004)
        if code is None:
            if self.deadline is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it may have left running
        out, err = (_content(file) for file in self._files)
        (changes,) = struct.unpack("q", self._counter)
        return {"code": code, "out": out, "err": err, "changes": changes, "seconds": time.monotonic() - self.started}


def _content(file: Any) -> str:
    file.seek(0)
    text: str = file.read().decode(errors="replace")
    file.close()
    return text


def _child(asked: dict[str, Any], counter: mmap.mmap, out: int, err: int) -> int:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.update(asked.get("environment", {}))

    def work() -> None:
        _set_world(asked, counter)
        if "call" in asked:
            module, _, name = asked["call"].partition(":")
            print(json.dumps(getattr(__import__(module, fromlist=[name]), name)(*asked["command"])))
        else:
            run_features(asked["command"])

    return exit_code(work)


def run_features(words: list[str]) -> None:
    """Run the program in this process; it ends with SystemExit."""
    from photogenic.app.cli.main import main

    sys.argv = ["features", *words]
    main()


def exit_code(work: Callable[[], None]) -> int:
    """Run a function, and return the exit code of a process that does so: 70 after an exception, with its traceback."""
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    return 0


def _set_world(asked: dict[str, Any], counter: mmap.mmap) -> None:
    words = asked["command"]
    root = asked.get("root") or (words[words.index("--store") + 1] if "--store" in words else None)
    if "clock_s" in asked:
        _shift_clock(asked["clock_s"])
    if "fsize" in asked:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["fsize"], asked["fsize"]))
    if root is not None:
        sys.addaudithook(_hook(os.path.realpath(root), asked, counter))


def _hook(root: str, asked: dict[str, Any], counter: mmap.mmap) -> Any:
    n, lock = 0, threading.Lock()
    kill_at, fail_at = asked.get("kill_at", 0), asked.get("fail_at", 0)

    def counts(path: Any) -> bool:
        return str(path).startswith(root) and _STAGES not in str(path)

    def changed(event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return bool(flags & (os.O_WRONLY | os.O_RDWR)) and counts(path)
        return event in _EVENTS and any(counts(argument) for argument in arguments)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal n
        if not changed(event, arguments):
            return
        with lock:
            n += 1
            struct.pack_into("q", counter, 0, n)
        if n == kill_at:
            os.killpg(0, signal.SIGKILL)
        if fail_at and n >= fail_at:
            raise OSError(asked["errno"], os.strerror(asked["errno"]), str(arguments[0]))

    return hook


def _shift_clock(seconds: float) -> None:
    import datetime

    true, true_time, by = datetime.datetime, time.time, datetime.timedelta(seconds=seconds)

    class Instants(type):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, true)

    class Shifted(true, metaclass=Instants):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return true.now(tz) + by

    datetime.datetime = Shifted  # type: ignore[misc]
    time.time = lambda: true_time() + seconds


def main() -> None:
    """Answer requests, one JSON object per line."""
    for name in IMPORTED:
        __import__(name)
    assert threading.active_count() == 1
    forks: dict[int, _Fork] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = forks.pop(request["wait"]).wait()
        else:
            fork = _Fork(request)
            forks[fork.pid] = fork
            answer = {"pid": fork.pid}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

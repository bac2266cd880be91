"""Run the blocks of a page in their order in one folder, and compare what they print with what the page shows."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.runner.compare import difference, matches
from tests.docs.runner.fork_server import GRID, ForkServer
from tests.docs.runner.pages import Block, Command, Page

__all__ = ["Outcome", "run_page"]

ADDRESS = "127.0.0.1:8000"
"""Where pages say that `features serve` answers. A free port is used instead."""

_LONGEST_S = 900
_SEEN_BY_BASH = """\
cd "$(cat {state}/folder)"; . {state}/variables 2>/dev/null
{command}
code=$?; export -p > {state}/variables; pwd > {state}/folder; exit $code
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one command or block.

    Attributes:
        line: its line number in the page.
        failure: what is wrong, as text for a message; empty if nothing is.
        printed: lines that a command of a console block printed.
        command: the command, of a console block.
        fatal: whether the blocks after it make no sense.
    """

    line: int
    failure: str = ""
    printed: tuple[str, ...] = ()
    command: Command | None = None
    fatal: bool = False


def run_page(page: Page, folder: Path, server: ForkServer, *, grid: str = "small") -> Iterator[Outcome]:
    """Run a page in a folder which has what the page asks for. Ends after an outcome that is fatal."""
    with _Run(page, folder, server, grid) as run:
        for block in page.blocks:
            for outcome in run.block(block):
                yield outcome
                if outcome.fatal:
                    return


class _Run:
    def __init__(self, page: Page, folder: Path, server: ForkServer, grid: str) -> None:
        self._page, self._folder, self._state = page, folder, folder.with_name(folder.name + ".state")
        self._environment = {**server.environment(), GRID: grid, "FEATURES_TOKENS": str(self._state / "tokens")}
        self._environment["XDG_STATE_HOME"] = str(self._state / "user")
        self._state.mkdir()
        (self._state / "folder").write_text(str(folder))
        self._port = _free_port() if page.serve else 8000
        self._processes: list[subprocess.Popen[str]] = []
        self._python: subprocess.Popen[str] | None = None
        self._is_served = False

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        sessions = {process.pid for process in self._processes}
        while pids := _members(sessions):  # again, because a process that is about to end may start another one
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def block(self, block: Block) -> Iterator[Outcome]:
        if self._page.serve and not self._is_served and ADDRESS in block.text:
            self._serve()
        if "title" in block.options:
            path = self._folder / block.options["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            yield from self._console(block)
        elif block.language in {"python", "pycon"}:
            yield self._run_python(block)
        elif block.language == "sql":
            yield self._sql(block)

    def _console(self, block: Block) -> Iterator[Outcome]:
        allowed = int(block.options.get("exit", 0))
        try:
            commands = block.commands()
        except ValueError as error:
            yield Outcome(block.line, str(error), fatal=True)
            return
        codes = set()
        for command in commands:
            code, printed = self._bash(command.text)
            codes.add(code)
            wrong = code not in {0, allowed}
            if wrong:
                failure = f"$ {command.text}\nended with exit code {code}:\n" + "\n".join(printed)
            elif not matches(command.output, printed):
                failure = f"$ {command.text}\n{difference(command.output, printed)}"
            else:
                failure = ""
            yield Outcome(command.line, failure, tuple(printed), command, fatal=wrong)
            if wrong:
                return
        if allowed and allowed not in codes:
            yield Outcome(block.line, f"No command of the block ended with exit code {allowed}: {sorted(codes)}")

    def _bash(self, text: str) -> tuple[int, list[str]]:
        text = text.replace(ADDRESS, f"127.0.0.1:{self._port}").replace("localhost:8000", f"localhost:{self._port}")
        script = _SEEN_BY_BASH.format(state=shlex.quote(str(self._state)), command=text)
        output = self._state / "output"
        with output.open("wb") as file:
            process = self._start(["bash", "-c", script], stdout=file, stderr=subprocess.STDOUT)
            code = process.wait(timeout=_LONGEST_S)
        said = output.read_text(encoding="utf-8", errors="replace").split("\r")
        return code, self._as_shown("\n".join(said)).splitlines()

    def _run_python(self, block: Block) -> Outcome:
        if self._python is None:
            errors = (self._state / "errors").open("wb")
            self._python = self._start(
                ["features", "--python-session"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
            errors.close()
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        text = block.text.replace(ADDRESS, f"127.0.0.1:{self._port}")
        asked = {"language": block.language, "text": text, "line": block.line, "page": self._page.name}
        self._python.stdin.write(json.dumps(asked) + "\n")
        self._python.stdin.flush()
        line = self._python.stdout.readline()
        if not line:
            return Outcome(block.line, (self._state / "errors").read_text(), fatal=True)
        answer = json.loads(line)
        failure = f"```{block.language}\n{block.text}```\n{self._as_shown(answer['printed'])}"
        return Outcome(block.line, failure if answer["failed"] else "", fatal=answer["failed"])

    def _sql(self, block: Block) -> Outcome:
        query = self._state / "query.sql"
        query.write_text(block.text, encoding="utf-8")
        code, printed = self._bash(f"features sql --file {shlex.quote(str(query))} --limit 1")
        said = "\n".join(printed)
        return Outcome(block.line, f"```sql\n{block.text}```\n{said}" if code else "")

    def _as_shown(self, text: str) -> str:
        """Take what belongs to this run out of an output: its folder and its port."""
        text = text.replace(f"{self._folder}/", ".../").replace(str(self._folder), "...")
        return text.replace(f"127.0.0.1:{self._port}", ADDRESS).replace(f"localhost:{self._port}", "localhost:8000")

    def _serve(self) -> None:
        self._is_served = True
        log = (self._state / "served").open("wb")
        process = self._start(["features", "serve", "--port", str(self._port)], stdout=log, stderr=log)
        log.close()
        latest = time.monotonic() + 120
        while time.monotonic() < latest and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.05)
        raise AssertionError((self._state / "served").read_text())

    def _start(self, words: list[str], **streams: object) -> subprocess.Popen[str]:
        """Start a process in a session of its own, which is killed at the end of the page."""
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            words,
            cwd=self._folder,
            env=self._environment,
            start_new_session=True,
            text=True,
            **{"stdin": subprocess.DEVNULL, **streams},
        )
        self._processes.append(process)
        return process


def _members(sessions: set[int]) -> list[int]:
    """Return the running processes of sessions. A group is not enough: `timeout` makes one of its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
            if int(session) in sessions and state != "Z":
                found.append(int(path.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])

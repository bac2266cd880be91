"""Start child processes of this program, and report why one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from photogenic.warehouse.processes import launch

__all__ = ["Child", "ChildDiedError"]

_STDERR_BYTES = 1 << 16


class ChildDiedError(Exception):
    """A child process ended before it answered.

    Attributes:
        killed: whether a signal killed it (SIGKILL or SIGTERM), and not its own work.
    """

    def __init__(self, said: str, *, killed: bool) -> None:
        super().__init__(said)
        self.killed = killed


class Child:
    """A Python process that inherits file descriptors and has no output.

    Args:
        call: function to run, as `MODULE:FUNCTION`; the descriptors are its `sys.argv[1:]`.
        handles: file descriptors that the child inherits.
        environment: environment variables in addition to those of this process.
    """

    def __init__(self, call: str, handles: Sequence[int], environment: dict[str, str] | None = None) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the child lives
        self._process = subprocess.Popen(
            launch.python_command(call, *map(str, handles), of_user=True),
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env=launch.child_environment(**(environment or {})),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Wait up to 10 s for its end, after its pipes were closed; then kill it."""
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self) -> None:
        """End the process and close its stderr; `exit_error` no longer works."""
        self.end()
        self._said.close()

    def exit_error(self) -> ChildDiedError:
        """Return the error with the exit code or signal and the last error line of stderr, after the pipes broke."""
        self.end()
        code = self._process.returncode
        name = f"exit code {code}" if code >= 0 else _name(-code)
        size = os.fstat(self._said.fileno()).st_size
        said = os.pread(self._said.fileno(), _STDERR_BYTES, max(size - _STDERR_BYTES, 0)).decode(errors="replace")
        telling = [line.strip() for line in said.splitlines() if "Error" in line]
        why = f"{name}: {telling[-1]}" if telling else name
        return ChildDiedError(why[:300], killed=code in (-signal.SIGKILL, -signal.SIGTERM))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

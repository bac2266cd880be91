"""Processes of our own beside this one: how they start, and of what they died."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from photogenic.warehouse.processes import launch

__all__ = ["Child", "ChildDiedError"]

_SAID = 1 << 16


class ChildDiedError(Exception):
    """A child ended before its answer.

    Attributes:
        killed: the system or somebody else did it, not what the child was at.
    """

    def __init__(self, said: str, *, killed: bool) -> None:
        super().__init__(said)
        self.killed = killed


class Child:
    """A Python process that is given file descriptors and says nothing.

    Args:
        call: what it runs, as `MODULE:FUNCTION`; the function finds the descriptors in `sys.argv` from 1 on.
        handles: the descriptors.
        environment: over this process's own.
    """

    def __init__(self, call: str, handles: Sequence[int], environment: dict[str, str] | None = None) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the child lives
        self._process = subprocess.Popen(
            launch.python(call, *map(str, handles), of_user=True),
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env=launch.environment(**(environment or {})),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Wait for its end, after its lines were broken; it has some seconds."""
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self) -> None:
        """As `end`; nothing is known of it afterwards."""
        self.end()
        self._said.close()

    def died(self) -> ChildDiedError:
        """Of what, once its lines broke."""
        self.end()
        code = self._process.returncode
        name = f"exit code {code}" if code >= 0 else _name(-code)
        size = os.fstat(self._said.fileno()).st_size
        said = os.pread(self._said.fileno(), _SAID, max(size - _SAID, 0)).decode(errors="replace")
        telling = [line.strip() for line in said.splitlines() if "Error" in line]
        why = f"{name}: {telling[-1]}" if telling else name
        return ChildDiedError(why[:300], killed=code in (-signal.SIGKILL, -signal.SIGTERM))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

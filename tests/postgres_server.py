"""A PostgreSQL server of the tests: on loopback and on a Unix socket, with its data in a folder of its own.

Every user is trusted, except KEEPER, who has to give PASSWORD. The program of the server refuses to run as root: then
it runs as the system's user `postgres` or `nobody`.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

USER, KEEPER, PASSWORD = "tester", "keeper", "s3cret/@:%pass"
"""The superuser, and the user with a password, which has characters that an address must escape."""

_INSTALL = "There is no PostgreSQL server on this machine. To run these tests: sudo apt-get install postgresql"
_HBA = f"""
local all {KEEPER} scram-sha-256
host  all {KEEPER} 127.0.0.1/32 scram-sha-256
local all all trust
host  all all 127.0.0.1/32 trust
"""
_SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "synchronous_commit": "off",
}
_PR_SET_PDEATHSIG = 1


def program(name):
    """Path of a program of PostgreSQL; None: it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))


class PostgresServer:
    """A server with an empty cluster.

    Attributes:
        port: port on 127.0.0.1, and of the socket.
        folder: folder of the socket, the data and the log.
    """

    def __init__(self):
        self._account = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.port, self._process, self._n_databases = 0, None, 0
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={USER}")
        (self.folder / "data" / "pg_hba.conf").write_text(_HBA)
        self.start()
        self.psql(f"create role {KEEPER} login password '{PASSWORD}'")

    @property
    def pid(self):
        """Id of its first process, the parent of the others."""
        return self._process.pid

    def start(self):
        """Start the server, on its former port if it ran before."""
        port = self.port or _free_port()
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", self.folder / "data", "-k", self.folder, "-p", str(port), *options],
                **self._as_account(),
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it calls one function of the system
            )
        self.port = port
        end = time.monotonic() + 60
        asking = [program("pg_isready"), "-q", "-h", self.folder, "-p", str(port)]
        while subprocess.run(asking, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def kill(self):
        """End the server at once, as a crash does; `start` starts it again."""
        self._stop(signal.SIGQUIT)

    def stop(self):
        """End the server, and remove its folder."""
        self._stop(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def psql(self, statements, database="postgres"):
        """Run statements, each in a transaction of its own, and return the rows as text, `|` between values."""
        found = subprocess.run(
            [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", self.address(database)],
            input=statements,
            check=False,
            capture_output=True,
            text=True,
        )
        if found.returncode:
            raise RuntimeError(found.stderr)
        return found.stdout.strip()

    def address(self, database="postgres", user=USER, password=None, *, by_socket=False):
        """Address of a database, with the password as it is given: an address has it in percent encoding."""
        who = user if password is None else f"{user}:{password}"
        if by_socket:
            return f"postgresql://{who}@/{database}?host={self.folder}&port={self.port}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"

    def new_database(self, options=""):
        """Create an empty database and return its name; `options` is the end of `create database`."""
        self._n_databases += 1
        name = f"test_{self._n_databases}"
        self.psql(f"create database {name} {options}")
        return name

    def _run(self, name, *arguments):
        command = [program(name), "-D", self.folder / "data", *arguments]
        subprocess.run(command, check=True, capture_output=True, **self._as_account())

    def _as_account(self):
        place = {"cwd": self.folder}
        if self._account is None:
            return place
        return {**place, "user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _stop(self, number):
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _unprivileged():
    """Account of the server if this process is root's; None: that of this process."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'.")


def _end_with_parent():
    """Ask the system to end the server if the process of the tests is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="session")
def postgres():
    """A running `PostgresServer`; skips the test where PostgreSQL is not installed."""
    if any(program(name) is None for name in ("initdb", "postgres", "psql")):
        pytest.skip(_INSTALL)
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def database(postgres):
    """Name of a new, empty database of the server `postgres`."""
    return postgres.new_database()

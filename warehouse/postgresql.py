"""Connect to PostgreSQL by its address, and say what went wrong without its secrets.

libpq reads the address, so that its environment variables (PGPASSWORD, PGSSLMODE, ...), ~/.pgpass and pg_service.conf
count. An address that libpq would divide otherwise than its writer meant is refused before libpq quotes parts of it.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import Any, NoReturn
from urllib.parse import quote, unquote, unquote_plus, urlencode

from photogenic.warehouse.errors import InputError, MissingPartError

__all__ = ["Address", "connect", "driver", "refuse", "short"]

_ADDRESS = re.compile(r"(?P<scheme>postgres(?:ql)?)://(?P<authority>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?", re.S)
_SHOWN = ("host", "hostaddr", "port", "dbname", "service")
"""Parameters of an address that are printed; all others may be secrets."""

_FOR_TOOLS = (
    "a password with special characters in percent encoding (@ is %40, / is %2F), or none: PGPASSWORD or ~/.pgpass"
)
_DEFAULTS = {
    "connect_timeout": ("10", "PGCONNECT_TIMEOUT"),
    "fallback_application_name": ("photogenic", ""),
    "keepalives_idle": ("30", ""),
    "keepalives_interval": ("10", ""),
    "keepalives_count": ("3", ""),
    "tcp_user_timeout": ("60000", ""),
}
"""Parameters that are added if neither the address nor the named environment variable has them. A server that has
vanished is noticed within a minute."""

_LOST = ("08", "57P")
"""Beginnings of SQLSTATE for a lost connection."""


class Address:
    """An address `postgresql://USER@HOST:PORT/DATABASE?PARAMETERS`.

    Attributes:
        printable: the address without password and parameters.

    Raises:
        InputError: it is no such address, or has an ambiguous password.
    """

    def __init__(self, given: str) -> None:
        found = _ADDRESS.fullmatch(given)
        if found is None:
            raise InputError(
                "An address of PostgreSQL cannot be read.",
                "postgresql://USER@HOST:PORT/DATABASE",
                "postgresql://me@localhost/app",
            )
        authority, path, query = found["authority"], found["path"] or "", found["query"] or ""
        who, at, where = authority.rpartition("@")
        if "@" in who or "@" in path + query or "\0" in given:
            raise InputError(
                "An address of PostgreSQL has a special character where it divides the address: it is not printed, as "
                "it may be part of a password.",
                _FOR_TOOLS,
                "PGPASSWORD=... features ingest KIND postgresql://USER@HOST/DATABASE",
            )
        user, _, password = who.partition(":")
        pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
        self._given, self._names = given, {unquote(name) for name, _ in pairs}
        self._secrets = {unquote(password), password}
        self._secrets |= {
            text for name, value in pairs if unquote(name) not in _SHOWN for text in (value, unquote(value))
        }
        shown = urlencode([(name, unquote_plus(value)) for name, value in pairs if unquote(name) in _SHOWN], safe="/")
        self.printable = f"postgresql://{user + at if at else ''}{where}{path}{'?' + shown if shown else ''}"

    def __str__(self) -> str:
        return self.printable

    def __repr__(self) -> str:
        return f"Address({self.printable!r})"

    @property
    def for_libpq(self) -> str:
        """The address with its secrets, and with time-outs."""
        added = {
            name: value
            for name, (value, variable) in _DEFAULTS.items()
            if name not in self._names and not (variable and os.environ.get(variable))
        }
        return f"{self._given}{'&' if '?' in self._given else '?'}{urlencode(added, quote_via=quote)}"

    def without_secrets(self, text: str) -> str:
        """The text, with each secret of the address and of PGPASSWORD replaced."""
        for secret in sorted({*self._secrets, os.environ.get("PGPASSWORD", "")} - {""}, key=len, reverse=True):
            if len(secret) > 3 or re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text):
                text = text.replace(secret, "***")
        return text


def driver() -> Any:
    """The module of the driver.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        return importlib.import_module("adbc_driver_postgresql.dbapi")
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"A database of PostgreSQL needs the package {error.name}.",
            "the extra databases, or a file in CSV or Parquet",
            "pip install 'photogenic[databases]'",
        ) from error


def connect(address: Address, *, read_only: bool) -> Any:
    """Open a connection with an open transaction.

    Args:
        address: address of the database.
        read_only: whether the server refuses every write in this transaction.

    Raises:
        InputError: the database cannot be reached.
        MissingPartError: the driver is not installed.
    """
    opened = driver()
    try:
        connection = opened.connect(address.for_libpq)
    except opened.Error as error:
        raise _unreachable(address, error) from None
    try:
        with connection.cursor() as cursor:
            if read_only:
                cursor.execute("set transaction read only")
            cursor.execute(
                "select current_setting('server_encoding') as encoding, current_setting('lock_timeout') as wait"
            )
            [(encoding, wait)] = cursor.fetchall()
            # The bytes of SQL_ASCII have no encoding: the server would refuse to send those that are not UTF-8.
            cursor.execute(f"set client_encoding to '{'SQL_ASCII' if encoding == 'SQL_ASCII' else 'UTF8'}'")
            if wait == "0":
                cursor.execute("set local lock_timeout to '60s'")
    except BaseException as error:
        connection.close()
        if isinstance(error, opened.Error):
            refuse(address, error)
        raise
    return connection


def refuse(address: Address, error: BaseException, n_rows: int = 0) -> NoReturn:
    """Raise the error of a statement.

    Args:
        address: address of the database.
        error: the driver's error.
        n_rows: number of rows that had come before.

    Raises:
        InputError: always.
    """
    state, said = getattr(error, "sqlstate", None) or "", address.without_secrets(short(error))
    if state in ("25006", "25001"):
        what, expected, remedy = f"The query writes: {said}", "one query that only reads", "a select"
    elif state == "42601" and "multiple commands" in said:
        what, expected, remedy = "The query has several statements.", "one select", "run it once for each of them"
    elif state == "42P01":
        what, expected = f"{address} refuses the query: {said}", "tables and views of this database, with their schema"
        remedy = f"psql {address} -c '\\d'"
    elif state == "42501":
        what, expected = f"{address} refuses the query: {said}", "a user who may read what the query names"
        remedy = "ask the owner for: grant select on TABLE to USER"
    elif state == "57014":
        what = f"{address} ended the query: {said}"
        expected = "a query that ends within the server's statement_timeout"
        remedy = "a longer one for this run: PGOPTIONS='-c statement_timeout=1h' features ..."
    elif state == "55P03":
        what, expected = f"{address} ended the query: {said}", "a table that no other transaction holds for over 60 s"
        remedy = "try again when the other transaction has ended"
    elif state[:2] == "22" and "encoding" in said:
        what, expected = f"{address} cannot send a text: {said}", "texts that are valid in the database's encoding"
        remedy = "repair the text, or leave the column out of the query"
    elif not state or state.startswith(_LOST):
        what = f"The connection to {address} was lost after {n_rows:,} rows: {said}"
        expected, remedy = "a server that answers to the end; nothing of it was taken in", "try again"
    else:
        what, expected, remedy = (
            f"{address} refuses the query: {said}",
            "one query that the server runs",
            f"psql {address}",
        )
    raise InputError(what, expected, remedy) from None


def short(error: BaseException) -> str:
    """The first line of what the server or libpq says."""
    text = str(error)
    for mark in ("ERROR:", "FATAL:", "PANIC:"):
        if mark in text:
            return text.split(mark, 1)[1].strip().splitlines()[0].split(". SQLSTATE:")[0]
    text = text.split("[libpq]", 1)[-1].strip()
    return (text.splitlines() or [type(error).__name__])[0].split(". SQLSTATE:")[0]


def _unreachable(address: Address, error: BaseException) -> InputError:
    """The error of a connection that was not made."""
    said = address.without_secrets(short(error))
    what = f"{address} cannot be opened: {said}"
    if "password" in said or "authentication" in said or "pg_hba" in said:
        return InputError(
            what,
            "a user whom the server lets in, with PGPASSWORD or a line in ~/.pgpass if it asks for a password",
            f"psql {address} -c 'select 1'",
        )
    if "does not exist" in said:
        return InputError(what, "a database and a user of this server", "psql -l, or another name in the address")
    if "URI" in said or "connection option" in said or "definition of service" in said:
        return InputError(what, "postgresql://USER@HOST:PORT/DATABASE", "postgresql://me@localhost/app")
    return InputError(
        what, "a server that answers within 10 s, unless connect_timeout says otherwise", "pg_isready -h HOST -p PORT"
    )

"""Addresses of object stores: parts, options, and the name that may be printed.

    s3://bucket/folder/name.parquet?endpoint_override=http://127.0.0.1:9000&region=eu-west-1

A key stands in an address as it is; `%XX` is a byte of it, so `%25` is a percent sign and `%3F` a question mark. What
follows a question mark is a list of options only if all of it reads `name=value`: elsewhere it is a wildcard.
"""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from photogenic.warehouse.errors import InputError

__all__ = ["Address", "is_remote", "local_path", "parse_address", "printable_address", "quote_key"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_OPTIONS = re.compile(r"(.*)\?([A-Za-z_][A-Za-z0-9_-]*=[^&?*]*(?:&[A-Za-z_][A-Za-z0-9_-]*=[^&?*]*)*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address.

    Attributes:
        scheme: in lower case.
        user: what stands before `@`: key and secret of S3, container of Azure, `anonymous` of Google; may be secret.
        host: bucket, container, account or server.
        key: name of the object or folder, decoded, without slashes at its ends.
        is_folder: whether the address ends with a slash.
        options: what follows the question mark; may be secret.
    """

    scheme: str
    user: str
    host: str
    key: str
    is_folder: bool
    options: dict[str, str]


def is_remote(given: object) -> bool:
    """Whether this is an address of another machine: `s3://...`, not a path and not `file:`."""
    return isinstance(given, str) and bool(_SCHEME.match(given)) and not given.lower().startswith("file:")


def local_path(uri: str) -> Path | None:
    """Return the absolute path of a folder on this machine; None: the address is remote."""
    if uri.startswith("file:"):
        return Path("/" + uri.removeprefix("file:").lstrip("/"))
    return None if "://" in uri else Path(uri).absolute()


def parse_address(text: str) -> Address:
    """Split an address.

    Raises:
        InputError: it has no host.
    """
    scheme, _, rest = text.partition("://")
    options = dict[str, str]()
    if (with_options := _OPTIONS.fullmatch(rest)) is not None:
        rest, given = with_options.groups()
        options = dict(urllib.parse.parse_qsl(given, keep_blank_values=True))
    server, _, key = rest.partition("/")
    user, at, host = server.rpartition("@")
    if not host or "\0" in text:
        raise InputError(
            f"{printable_address(text)} names no bucket.",
            "an address such as s3://bucket/folder",
            "add the name of the bucket",
        )
    try:
        key = urllib.parse.unquote(key, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{printable_address(text)} is not UTF-8 where it is escaped.", "%XX of UTF-8", "write % itself as %25"
        ) from error
    return Address(scheme.lower(), user if at else "", host, key.strip("/"), not key or key.endswith("/"), options)


def printable_address(text: str) -> str:
    """The address as one line without secrets: no key, password, token or query string, which may be signed."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return quote_key(text)
    rest = text[scheme.end() :]
    if scheme[1].lower() in {"http", "https"}:
        rest = rest.partition("?")[0].partition("#")[0]
    elif (with_options := _OPTIONS.fullmatch(rest)) is not None:
        rest = with_options[1]
    server, slash, key = rest.partition("/")
    user, _, host = server.rpartition("@")
    kept = f"{user}@" if user and scheme[1].lower() in {"abfs", "abfss", "hdfs"} and ":" not in user else ""
    return f"{scheme[1].lower()}://{kept}{_escape_controls(host)}{slash}{_escape_controls(key)}"


def quote_key(key: str) -> str:
    """A key as it stands in an address: percent signs, question marks and control characters are escaped."""
    return _escape_controls(key.replace("%", "%25").replace("?", "%3F"))


def _escape_controls(text: str) -> str:
    return "".join(
        urllib.parse.quote(char, errors="surrogatepass")
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else char
        for char in text
    )

"""Open an address: the file system of its scheme, with credentials, endpoint and time-outs from the environment."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.filesystems.addresses import Address, local_path, parse_address, printable_address, quote_key
from photogenic.warehouse.filesystems.location import Location
from photogenic.warehouse.filesystems.storage_errors import refuse_steps, storage_error

__all__ = ["filesystem_of", "network_timeout_s", "open_location"]

_CONNECT_S = 5.0
_TIMEOUT_S = 15.0
_ATTEMPTS = 3


def open_location(address: str | Path, *, make_bucket: bool = False) -> Location:
    """Open a folder or file by its path or address. Nothing is read yet.

    Args:
        address: path, `file:` address, or address of an object store.
        make_bucket: whether writing may make the bucket.

    Raises:
        InputError: the address is of an unknown kind, or has an unknown option.
        NetworkError: the region of the bucket cannot be found out.
    """
    text = os.fspath(address)
    path = local_path(text)
    if path is not None:
        return Location(pa.fs.LocalFileSystem(), str(path), printable_address(str(address)), "local")
    name = printable_address(text).rstrip("/")
    scheme = text.partition("://")[0].lower()
    opened = _OPENERS.get(scheme)
    if opened is None:
        raise _unknown(name)
    try:
        files, inside = opened(text, parse_address(text), make_bucket)
    except (pa.ArrowInvalid, OSError) as error:
        raise storage_error(name, "reached", error) from error
    if scheme not in {"hdfs", "viewfs"}:
        refuse_steps(inside.rstrip("/"), name)
    return Location(files, inside.rstrip("/"), name, "hdfs" if scheme in {"hdfs", "viewfs"} else "objects")


def filesystem_of(uri: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a folder or an address, and the path in it.

    Raises:
        InputError: the address is not supported, or cannot be reached.
    """
    location = open_location(uri)
    return location.files, location.path


def _open_s3(text: str, address: Address, make_bucket: bool) -> tuple[Any, str]:
    options = _options(
        *(text, address, {"endpoint_override", "region", "scheme", "anonymous", "allow_bucket_creation"})
    )
    endpoint = options.get("endpoint_override") or next(
        (os.environ[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(name)), None
    )
    region = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is not None:
        region = "us-east-1"
    elif region is None and not os.environ.get("AWS_PROFILE"):
        region = pa.fs.resolve_s3_region(address.host)
    key, _, secret = address.user.partition(":")
    anonymous = _is_true(options.get("anonymous"))
    files = pa.fs.S3FileSystem(
        **({"access_key": key, "secret_key": secret} if key and secret else {}),
        anonymous=anonymous,
        **({"region": region} if region else {}),
        **({"endpoint_override": endpoint} if endpoint else {}),
        **({"scheme": options["scheme"]} if "scheme" in options else {}),
        connect_timeout=min(_CONNECT_S, network_timeout_s()),
        request_timeout=network_timeout_s(),
        retry_strategy=pa.fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        allow_bucket_creation=make_bucket or _is_true(options.get("allow_bucket_creation")),
        allow_delayed_open=True,
    )
    return files, f"{address.host}/{address.key}"


def _open_gs(text: str, address: Address, make_bucket: bool) -> tuple[Any, str]:
    del make_bucket
    options = _options(text, address, {"endpoint_override", "scheme", "anonymous", "project_id"})
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    scheme, _, host = emulator.rpartition("://")
    endpoint = options.get("endpoint_override") or host.rstrip("/")
    anonymous = _is_true(options.get("anonymous")) or address.user == "anonymous" or bool(emulator)
    files = pa.fs.GcsFileSystem(
        anonymous=anonymous,
        **({"endpoint_override": endpoint} if endpoint else {}),
        **({"scheme": options.get("scheme") or scheme} if options.get("scheme") or scheme else {}),
        **({"project_id": options["project_id"]} if "project_id" in options else {}),
        retry_time_limit=dt.timedelta(seconds=_ATTEMPTS * network_timeout_s()),
    )
    return files, f"{address.host}/{address.key}"


def _open_azure(text: str, address: Address, make_bucket: bool) -> tuple[Any, str]:
    del make_bucket
    if address.user or "." in address.host:  # the account stands in the address
        files, inside = pa.fs.FileSystem.from_uri(re.sub(r"^az:", "abfs:", text, flags=re.IGNORECASE))
        return files, inside
    options = _options(text, address, {"account_name", "blob_storage_authority", "blob_storage_scheme"})
    parts = dict(
        part.partition("=")[::2] for part in os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";") if part
    )
    account = options.pop("account_name", None) or next(
        (
            found
            for found in (
                os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"),
                os.environ.get("AZURE_STORAGE_ACCOUNT"),
                parts.get("AccountName"),
            )
            if found
        ),
        None,
    )
    if account is None:
        raise InputError(
            f"{printable_address(text)} does not say the storage account.",
            "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER, or the account in AZURE_STORAGE_ACCOUNT",
            "export AZURE_STORAGE_ACCOUNT=ACCOUNT",
        )
    key = os.environ.get("AZURE_STORAGE_KEY") or os.environ.get("AZURE_STORAGE_ACCOUNT_KEY") or parts.get("AccountKey")
    token = os.environ.get("AZURE_STORAGE_SAS_TOKEN") or parts.get("SharedAccessSignature")
    if "blob_storage_authority" in options:
        options["dfs_storage_authority"] = options["blob_storage_authority"]
    if "blob_storage_scheme" in options:
        options["dfs_storage_scheme"] = options["blob_storage_scheme"]
    given = {"account_key": key} if key else {"sas_token": token} if token else {}
    return pa.fs.AzureFileSystem(account, **given, **options), f"{address.host}/{address.key}"


def _open_hdfs(text: str, address: Address, make_bucket: bool) -> tuple[Any, str]:
    del address, make_bucket
    files, inside = pa.fs.FileSystem.from_uri(text)
    return files, inside


_OPENERS: dict[str, Callable[[str, Address, bool], tuple[Any, str]]] = {
    **dict.fromkeys(("s3", "s3a", "s3n"), _open_s3),
    **dict.fromkeys(("gs", "gcs"), _open_gs),
    **dict.fromkeys(("az", "abfs", "abfss"), _open_azure),
    **dict.fromkeys(("hdfs", "viewfs"), _open_hdfs),
}


def network_timeout_s() -> float:
    """Seconds without a byte after which a request is given up: FEATURES_NETWORK_TIMEOUT, else 15.

    Raises:
        InputError: the variable is no number of seconds.
    """
    text = os.environ.get("FEATURES_NETWORK_TIMEOUT")
    if not text:
        return _TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise InputError(
            f"FEATURES_NETWORK_TIMEOUT is {text!r}.", "seconds, from 1 to 3,600", "unset FEATURES_NETWORK_TIMEOUT"
        )
    return seconds


def _options(text: str, address: Address, known: set[str]) -> dict[str, str]:
    if unknown := sorted(set(address.options) - known):
        raise InputError(
            f"{printable_address(text)} has the unknown option {quote_key(unknown[0])}.",
            ", ".join(sorted(known)),
            "leave it out; a question mark in a name is written %3F",
        )
    return dict(address.options)


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in {"true", "1", "yes"}


def _unknown(name: str) -> InputError:
    return InputError(
        f"{name} has an unknown scheme.",
        "a folder, or an address that begins with s3://, s3a://, gs://, az://, abfs:// or hdfs://",
        "write into a folder, and copy it there",
    )

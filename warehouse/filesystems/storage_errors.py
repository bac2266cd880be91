"""Errors of object stores and folders in our words, without secrets."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, NetworkError, PhotogenicError

__all__ = ["absent", "clear_errors", "refuse_steps", "storage_error"]


_KINDS = (
    (r"NO_SUCH_BUCKET|bucket does not exist|NoSuchBucket|ContainerNotFound", "the bucket does not exist"),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|InvalidAccessKeyId|SignatureDoesNotMatch|EXPIRED_TOKEN"
        r"|INVALID_CLIENT_TOKEN_ID|ExpiredToken|AuthenticationFailed|UNAUTHENTICATED|401",
        "the server does not accept the credentials",
    ),
    (r"ACCESS_DENIED|AccessDenied|Forbidden|PERMISSION_DENIED|\b403\b", "access is denied"),
    (r"NO_SUCH_KEY|NoSuchKey|BlobNotFound", "there is no such object"),
)
_NETWORK = re.compile(
    r"NETWORK_CONNECTION|curlCode|Timeout|timed out|UNAVAILABLE|SLOW_DOWN|INTERNAL_FAILURE|SERVICE_UNAVAILABLE"
    r"|HTTP status \[?5|DEADLINE_EXCEEDED|Connection|connect"
)
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ?anonymous=true",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gs://anonymous@BUCKET",
    "az": "AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN",
}


def storage_error(name: str, done: str, error: Exception) -> PhotogenicError:
    """The error of a file system, in our words and without secrets."""
    text = str(error)
    scheme = name.partition("://")[0] if "://" in name else ""
    if not scheme:
        number = error.errno if isinstance(error, OSError) else None
        reason = text if number is None else os.strerror(number)
        return InputError(f"{name} cannot be {done}: {reason}.", "a path that this user may use", "ls -ld on it")
    if isinstance(error, FileNotFoundError):
        return absent(name)
    for pattern, what in _KINDS:
        if re.search(pattern, text):
            service = {"s3a": "s3", "abfs": "az", "abfss": "az"}.get(scheme, scheme)
            return InputError(
                f"{name} cannot be {done}: {what}.",
                "a bucket and an object that these credentials may use",
                f"check the name, and {_CREDENTIALS.get(service, 'the credentials')}",
            )
    detail = re.sub(r"\s*\(Request ID:[^)]*\)|\?[^\s'\"]*", "", text).strip().rstrip(".")
    detail = re.sub(r"^When .*?(?=AWS Error |Google|curl|HTTP)", "", detail, flags=re.DOTALL)[:300]
    detail = " ".join(detail.split())
    if _NETWORK.search(text):
        return NetworkError(
            f"{name} cannot be {done}: {detail}.",
            "a server that answers, at the endpoint of the address or of AWS_ENDPOINT_URL",
            "run the same command again; FEATURES_NETWORK_TIMEOUT=60 waits longer",
        )
    return InputError(f"{name} cannot be {done}: {detail}.", "an address that can be used", "check the address")


def absent(name: str) -> InputError:
    return InputError(f"There is no {name}.", "an existing object", f"list {name.rpartition('/')[0]}/")


@contextlib.contextmanager
def clear_errors(name: str, done: str = "read") -> Iterator[None]:
    """Report errors of pyarrow's file systems in the block as ours.

    Args:
        name: printable address that the block works on.
        done: what could not be done to it: read, listed, written, removed.

    Raises:
        InputError: what is named does not exist, or may not be used.
        NetworkError: the server cannot be reached, is broken, or the connection broke.
    """
    try:
        yield
    except PhotogenicError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise storage_error(name, done, error) from error


def refuse_steps(key: str, name: str) -> None:
    """Refuse a key that HTTP would take for another one: `bucket/../other` is another bucket on the way to the server.

    Raises:
        InputError: a step of the key is empty, `.` or `..`.
    """
    if key and {"", ".", ".."} & set(key.split("/")):
        raise InputError(f"{name} has an empty name, . or .. between slashes.", "the name of an object", "rename it")

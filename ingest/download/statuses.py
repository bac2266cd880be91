"""The closed list of results of an attempt to download a photo.

Each status has a sentence, says whether the failure is temporary, and names the `photos.status` that is stored when
no attempt follows. SQL groups by these words, `features fetch --retry WORD` takes them, and no free text is counted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from photogenic.warehouse import InputError

__all__ = ["STATUSES", "Meaning", "Status", "retryable"]

Status = Literal[
    "ok",
    "bad_url",
    "blocked_address",
    "dns",
    "dns_unavailable",
    "connect",
    "connection_lost",
    "tls",
    "timeout",
    "redirects",
    "http_401",
    "http_403",
    "http_404",
    "http_410",
    "http_429",
    "http_4xx",
    "http_5xx",
    "http_other",
    "opted_out",
    "empty",
    "too_large",
    "not_an_image",
    "unsupported_format",
    "erased",
    "truncated",
    "unreadable",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of a status.

    Attributes:
        sentence: explanation for people.
        is_temporary: whether another attempt may succeed, so that one follows automatically.
        file_status: `photos.status` when no attempt follows.
    """

    sentence: str
    is_temporary: bool = False
    file_status: str = "missing"


STATUSES: dict[Status, Meaning] = {
    "ok": Meaning("the picture is stored", file_status="ok"),
    "bad_url": Meaning("not an http or https address"),
    "blocked_address": Meaning("the host is a private, loopback, link-local or metadata address"),
    "dns": Meaning("the host's name does not exist"),
    "dns_unavailable": Meaning("the name server gave no answer", is_temporary=True),
    "connect": Meaning("the host accepted no connection", is_temporary=True),
    "connection_lost": Meaning("the connection broke before the answer", is_temporary=True),
    "tls": Meaning("the host's certificate or TLS handshake failed"),
    "timeout": Meaning("the host was too slow", is_temporary=True),
    "redirects": Meaning("more redirects than allowed, or one without a destination"),
    "http_401": Meaning("the host asks for a login"),
    "http_403": Meaning("the host refuses; a signed address may have expired: crawl again"),
    "http_404": Meaning("the host has no such picture"),
    "http_410": Meaning("the picture was removed"),
    "http_429": Meaning("the host asked for fewer requests, at every attempt", is_temporary=True),
    "http_4xx": Meaning("the host refused the request"),
    "http_5xx": Meaning("the host failed", is_temporary=True),
    "http_other": Meaning("the host answered with neither a picture nor an error"),
    "opted_out": Meaning("X-Robots-Tag says noai or noimageai"),
    "empty": Meaning("the answer has no bytes", file_status="empty"),
    "too_large": Meaning("more bytes or pixels than allowed", file_status="too_large"),
    "not_an_image": Meaning("the bytes are not a picture", file_status="not_an_image"),
    "unsupported_format": Meaning(
        "the bytes are a picture of a format that is not read", file_status="unsupported_format"
    ),
    "erased": Meaning("the bytes are those of an erased photo", file_status="erased"),
    "truncated": Meaning("the picture was cut short", is_temporary=True, file_status="truncated"),
    "unreadable": Meaning("the picture's header cannot be decoded", file_status="unreadable"),
}


def retryable(words: Iterable[str]) -> tuple[Status, ...]:
    """The statuses that `--retry` names; `healable` stands for all temporary ones.

    Raises:
        InputError: a word is not a status; the error suggests similar ones.
    """
    chosen: set[Status] = set()
    known = [s for s in get_args(Status) if s != "ok"]
    for word in words:
        if word == "healable":
            chosen.update(status for status, meaning in STATUSES.items() if meaning.is_temporary)
        elif word in known:
            chosen.add(cast(Status, word))
        else:
            near = difflib.get_close_matches(word, [*known, "healable"], n=3, cutoff=0.4)
            raise InputError(
                f"{word!r} is not a fetch status.",
                f"healable, {', '.join(known)}",
                f"features fetch --retry {near[0] if near else 'healable'}",
            )
    return tuple(sorted(chosen))

"""How hard `features fetch` may lean on this machine and on other people's: one frozen value object."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.headers import MAX_PIXELS
from ingest.waiting import Backoff
from warehouse import InputError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of one fetch.

    Attributes:
        concurrency: downloads at a time.
        per_host: downloads at a time from one host.
        rate: requests to one host per second; None: as fast as it answers.
        max_bytes: of one picture.
        max_pixels: width times height of one picture.
        connect_s: to open a connection, in seconds.
        read_s: between two chunks, in seconds.
        total_s: for one request, in seconds.
        redirects: per attempt.
        backoff: tries per photo and run, and the rests between them.
        longest_park_s: a host that asks for a longer rest is asked again after this many seconds.
        give_up_after: failures in a row to reach a host, after which it is left for the next run.
        allow_private: private and loopback addresses too.
        honour_opt_out: leave pictures whose X-Robots-Tag says noai or noimageai.
        sync_every_s: seconds between two groups made durable.
        merge_every_s: seconds between two merges of the journal into the warehouse.
    """

    concurrency: int = 64
    per_host: int = 16
    rate: float | None = None
    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = MAX_PIXELS
    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 120.0
    redirects: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    longest_park_s: float = 3600.0
    give_up_after: int = 30
    allow_private: bool = False
    honour_opt_out: bool = True
    sync_every_s: float = 1.0
    merge_every_s: float = 300.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "per_host", "rate", "max_bytes", "max_pixels", "connect_s", "read_s", "total_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}.", "more than 0", f"features fetch --{name.replace('_', '-')} ...")

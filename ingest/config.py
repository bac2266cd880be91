"""How hard the network commands may lean on this machine and on other people's: frozen value objects.

Each field is also an option of the command (`features fetch --per-host 4`), explained by its line here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from photogenic.ingest.images.image_header import MAX_PIXELS
from photogenic.warehouse.option_ranges import check

if TYPE_CHECKING:
    from photogenic.ingest.journal.clock import Backoff

__all__ = ["CrawlSettings", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one fetch.

    Attributes:
        concurrency: downloads at a time.
        per_host: downloads at a time from one host.
        rate: requests to one host per second; without it, as fast as it answers.
        attempts: tries per photo and run, for what can heal.
        backoff_s: longest rest after a first failure, in seconds; it doubles with each further one.
        max_bytes: of one picture.
        max_pixels: width times height of one picture.
        connect_s: to open a connection, in seconds.
        read_s: between two chunks, in seconds.
        total_s: for one request, in seconds.
        redirects: followed per attempt.
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
    attempts: int = 5
    backoff_s: float = 0.5
    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = MAX_PIXELS
    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 120.0
    redirects: int = 5
    longest_park_s: float = 3600.0
    give_up_after: int = 30
    allow_private: bool = False
    honour_opt_out: bool = True
    sync_every_s: float = 1.0
    merge_every_s: float = 300.0

    def __post_init__(self) -> None:
        check(**asdict(self))

    @property
    def backoff(self) -> Backoff:
        from photogenic.ingest.journal.clock import Backoff  # which needs asyncio, and `features --help` does not

        return Backoff(self.attempts, self.backoff_s)


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """The settings of one crawl.

    Attributes:
        max_posts: the newest so many pictures of each account or hashtag; without it, all.
        since: no posts older than this.
        refresh_days: walk again along what was walked so many days ago; without it, never.
        budget: requests per token and window.
        window_s: length of the rolling window, in seconds.
        concurrency: accounts and hashtags at a time.
        page_posts: posts asked for at a time.
        attempts: tries per request, for what can heal.
        backoff_s: longest rest after a first failure, in seconds; it doubles with each further one.
        request_s: time limit of one request, in seconds.
        merge_every_s: seconds between two merges of the journal into the warehouse.
        api: base address of the API.
        version: of the API.
    """

    max_posts: int | None = None
    since: dt.datetime | None = None
    refresh_days: float | None = None
    budget: int = 200
    window_s: float = 3600.0
    concurrency: int = 8
    page_posts: int = 50
    attempts: int = 5
    backoff_s: float = 0.5
    request_s: float = 60.0
    merge_every_s: float = 120.0
    api: str = "https://graph.facebook.com"
    version: str = "v23.0"

    def __post_init__(self) -> None:
        check(**asdict(self))

    @property
    def backoff(self) -> Backoff:
        from photogenic.ingest.journal.clock import Backoff  # which needs asyncio, and `features --help` does not

        return Backoff(self.attempts, self.backoff_s)

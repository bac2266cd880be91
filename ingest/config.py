"""Limits of the network commands: concurrency, rates, timeouts and sizes, as frozen value objects.

Each field is also an option of the command: `features fetch --per-host 4`.
"""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from photogenic.ingest.images.image_header import MAX_PIXELS
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

if TYPE_CHECKING:
    from photogenic.ingest.journal.clock import Backoff

__all__ = ["CrawlSettings", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one fetch."""

    concurrency: Annotated[int, Help("Number of downloads at a time.")] = 64
    per_host: Annotated[int, Help("Number of downloads at a time from one host.")] = 16
    rate: Annotated[float | None, Help("Largest number of requests to one host per second. Default: no limit.")] = None
    attempts: Annotated[int, Help("Number of attempts for each photo in one run, if its error may pass.")] = 5
    backoff_s: Annotated[
        float, Help("Longest pause after the first failure, in seconds; it doubles with each further failure.")
    ] = 0.5
    max_bytes: Annotated[int, Help("Largest size of one picture, in bytes.")] = 50 * 1024 * 1024
    max_pixels: Annotated[int, Help("Largest width times height of one picture, in pixels.")] = MAX_PIXELS
    connect_s: Annotated[float, Help("Timeout for opening a connection, in seconds.")] = 10.0
    read_s: Annotated[float, Help("Timeout between two parts of an answer, in seconds.")] = 30.0
    total_s: Annotated[float, Help("Timeout for one request, in seconds.")] = 120.0
    redirects: Annotated[int, Help("Largest number of redirects to follow in one attempt.")] = 5
    longest_park_s: Annotated[float, Help("Longest pause that Retry-After may ask for, in seconds.")] = 3600.0
    give_up_after: Annotated[
        int, Help("Number of failures in a row after which the other photos of a host are left for the next run.")
    ] = 30
    allow_private: Annotated[bool, Help("Download from private and loopback addresses too.")] = False
    honour_opt_out: Annotated[bool, Help("Leave out pictures whose X-Robots-Tag header says noai or noimageai.")] = True
    sync_every_s: Annotated[float, Help("Time between two writes of the journal to disk, in seconds.")] = 1.0
    merge_every_s: Annotated[float, Help("Time between two merges of the journal into the warehouse, in seconds.")] = (
        300.0
    )

    def __post_init__(self) -> None:
        check(**asdict(self))

    @property
    def backoff(self) -> "Backoff":
        from photogenic.ingest.journal.clock import Backoff  # which needs asyncio, and `features --help` does not

        return Backoff(self.attempts, self.backoff_s)


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """The settings of one crawl."""

    max_posts: Annotated[
        int | None, Help("Largest number of pictures to read from each account or hashtag, newest first. Default: all.")
    ] = None
    since: Annotated[
        dt.datetime | None, Help("Instant of the oldest posts to read, as ISO 8601 in UTC. Default: no limit.")
    ] = None
    refresh_days: Annotated[
        float | None,
        Help("Age in days at which a finished account or hashtag is read again. Default: it is not read again."),
    ] = None
    budget: Annotated[int, Help("Number of requests that each access token may make in one window.")] = 200
    window_s: Annotated[float, Help("Length of the rolling window in which requests are counted, in seconds.")] = 3600.0
    concurrency: Annotated[int, Help("Number of accounts and hashtags to read at a time.")] = 8
    page_posts: Annotated[int, Help("Number of posts to ask for in one request.")] = 50
    attempts: Annotated[int, Help("Number of attempts for each request, if its error may pass.")] = 5
    backoff_s: Annotated[
        float, Help("Longest pause after the first failure, in seconds; it doubles with each further failure.")
    ] = 0.5
    request_s: Annotated[float, Help("Timeout for one request, in seconds.")] = 60.0
    merge_every_s: Annotated[float, Help("Time between two merges of the journal into the warehouse, in seconds.")] = (
        120.0
    )
    api: Annotated[str, Help("Base address of the API.", metavar="URL")] = "https://graph.facebook.com"
    version: Annotated[str, Help("Version of the API.", metavar="VERSION")] = "v23.0"

    def __post_init__(self) -> None:
        check(**{name: value for name, value in asdict(self).items() if name != "version"})  # here it is a text

    @property
    def backoff(self) -> "Backoff":
        from photogenic.ingest.journal.clock import Backoff  # which needs asyncio, and `features --help` does not

        return Backoff(self.attempts, self.backoff_s)

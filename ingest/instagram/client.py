"""Send one request to the API: choose a token, respect the rate limits, and retry temporary failures.

The result is the answer or a `Refusal`, which is data about the target; exceptions are for failures of the whole
crawl. The token is sent in the Authorization header, so that no URL contains it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from yarl import URL

from photogenic.ingest.instagram.rate_headers import ApiError, check_answer, read_answer, usage
from photogenic.ingest.instagram.token_pool import TokenPool
from photogenic.ingest.instagram.token_store import Token
from photogenic.ingest.journal.clock import Backoff, Clock, retry_after_s

__all__ = ["CRAWL_STATUSES", "CrawlStatus", "Graph", "Refusal"]

CrawlStatus = Literal["open", "done", "unknown", "no_permission", "unavailable", "api_error"]

CRAWL_STATUSES: dict[CrawlStatus, str] = {
    "open": "begun; the next crawl continues at its cursor",
    "done": "read to its end, or to the limits given",
    "unknown": "no such account or hashtag, or not a professional account",
    "no_permission": "no token has the permission",
    "unavailable": "the network failed or did not answer, at every attempt",
    "api_error": "the network refused the request for another reason, or its answers are invalid",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why there is no answer about a target. `odd`: there is an answer, and it is not as documented."""

    status: CrawlStatus
    detail: str
    odd: bool = False


_DENIALS = 5
"""Number of refusals for lack of permission after which a token that never worked is no longer used."""


class Graph:
    """Client of the API.

    Args:
        session: HTTP session with timeouts.
        pool: pool of tokens.
        base: base URL of the API, e.g. https://graph.facebook.com/v23.0
        clock: clock used for waiting.
        backoff: back-off after temporary failures.
        rng: random generator of the jitter.

    Attributes:
        n_requests: number of requests made.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        pool: TokenPool,
        base: URL,
        *,
        clock: Clock,
        backoff: Backoff,
        rng: random.Random,
    ) -> None:
        self.session, self.pool, self.base = session, pool, base
        self.clock, self.backoff, self.rng = clock, backoff, rng
        self.n_requests = 0
        self._worked: set[str] = set()
        self._denied: Counter[str] = Counter()

    async def get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any] | Refusal:
        """GET `path`; `{me}` in it and in the parameters' values stands for the id of the token's account.

        Raises:
            NetworkError: no token can be used any more.
        """
        refused: frozenset[str] = frozenset()
        failures = 0
        while True:
            token = await self.pool.lease(avoid=refused)
            if token is None:
                return Refusal("no_permission", f"refused to {len(refused)} tokens")
            try:
                answer, error = await self._request(token, path, parameters)
            except (aiohttp.ClientError, TimeoutError) as caught:
                answer, error = {}, ApiError("passing", 0, 0)
                reason = type(caught).__name__
            else:
                reason = error.detail if error else ""
            if error is None:
                self._worked.add(token.key)
                return answer
            match error.kind:
                case "rate" | "app_rate":
                    continue  # paused by _request
                case "token":
                    self.pool.drop(token, "expired" if error.subcode == 463 else "revoked")
                case "permission":
                    refused |= {token.key}
                    self._denied[token.key] += 1
                    if token.key not in self._worked and self._denied[token.key] == _DENIALS:
                        self.pool.drop(token, "no_permission")
                case "unknown":
                    return Refusal("unknown", error.detail)
                case "other":
                    return Refusal("api_error", reason)
                case "odd":
                    return Refusal("api_error", f"an odd answer: {reason}", odd=True)
                case "passing":
                    failures += 1
                    if failures >= self.backoff.attempts:
                        return Refusal("unavailable", reason)
                    await self.clock.wait(self.clock.now() + self.backoff.delay_s(failures, self.rng))

    async def _request(
        self, token: Token, path: str, parameters: Mapping[str, str]
    ) -> tuple[dict[str, Any], ApiError | None]:
        self.n_requests += 1
        async with self.session.get(
            self.base / path.replace("{me}", token.ig_user_id),
            params={name: value.replace("{me}", token.ig_user_id) for name, value in parameters.items()},
            headers={"Authorization": f"Bearer {token.secret.reveal()}"},
            allow_redirects=False,
        ) as response:
            raw = await read_answer(response)
            self.pool.observe(token, response.headers)
            body, error = check_answer(response.status, raw)
            if error is not None and error.kind in {"rate", "app_rate"}:
                now = self.clock.now()
                pause_s = retry_after_s(response.headers.get("Retry-After"), now)
                if pause_s is None:
                    pause_s = usage(response.headers).regain_s or self.pool.window_s
                self.pool.pause(token, now + max(pause_s, 1.0), whole_app=error.kind == "app_rate")
            return body, error

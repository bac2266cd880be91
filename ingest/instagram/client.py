"""One request to the API, carried through: token chosen, limits obeyed, passing trouble waited out.

What comes back is the answer or a `Refusal`, which is data about the target; exceptions are left for what
concerns the whole crawl. The token travels in the Authorization header, so that no address ever holds it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from yarl import URL

from photogenic.ingest.instagram.rate_headers import ApiError, judged, read_answer, usage
from photogenic.ingest.instagram.token_pool import TokenPool
from photogenic.ingest.instagram.token_store import Token
from photogenic.ingest.journal.clock import Backoff, Clock, retry_after_s

__all__ = ["CRAWL_STATUSES", "CrawlStatus", "Graph", "Refusal"]

CrawlStatus = Literal["open", "done", "unknown", "no_permission", "unavailable", "api_error"]

CRAWL_STATUSES: dict[CrawlStatus, str] = {
    "open": "begun; the next crawl goes on at its cursor",
    "done": "walked to its end, or to the limits given",
    "unknown": "no such account or hashtag, or not a professional account",
    "no_permission": "no token may see it",
    "unavailable": "the network failed or did not answer, to the last attempt",
    "api_error": "the network refused the request for another reason, or its answers make no sense",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer about one target. `odd`: there is one, and it is not as documented."""

    status: CrawlStatus
    detail: str
    odd: bool = False


_DENIALS = 5
"""Refusals for lack of permission after which a token that never worked is used no more."""


class Graph:
    """A client of the API.

    Args:
        session: makes the requests, with timeouts.
        pool: of tokens.
        base: such as https://graph.facebook.com/v23.0
        clock: what waiting goes by.
        backoff: for passing trouble.
        rng: of the jitter.

    Attributes:
        n_requests: made so far.
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
        """GET `path`; `{me}` in it and in the parameters' values stands for the asking account's id.

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
                answer, error = await self._ask(token, path, parameters)
            except (aiohttp.ClientError, TimeoutError) as caught:
                answer, error = {}, ApiError("passing", 0, 0)
                reason = type(caught).__name__
            else:
                reason = error.detail if error else ""
            if error is None:
                self._worked.add(token.key)
                return answer
            match error.trouble:
                case "rate" | "app_rate":
                    continue  # parked by _ask
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

    async def _ask(
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
            body, error = judged(response.status, raw)
            if error is not None and error.trouble in {"rate", "app_rate"}:
                now = self.clock.now()
                rest = retry_after_s(response.headers.get("Retry-After"), now)
                if rest is None:
                    rest = usage(response.headers).regain_s or self.pool.window_s
                self.pool.park(token, now + max(rest, 1.0), whole_app=error.trouble == "app_rate")
            return body, error

"""Tokens of the fake network: their accounts, permissions and number of requests.

Requests are counted over a rolling window by the clock of the server, as in the real network. Tests compare `peak`
with the budget.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FakeToken", "TokenOffice"]


@dataclass(slots=True)
class FakeToken:
    """A token that the network has issued."""

    secret: str
    ig_user_id: str
    app_id: str
    expires_at: float
    permitted: bool = True
    hits: deque[float] = field(default_factory=deque)
    n_requests: int = 0
    n_refused: int = 0
    peak: int = 0


class TokenOffice:
    """Store of all tokens and logins of the fake network.

    Args:
        now: clock of the server, in seconds since 1970.
        budget: requests per token and window.
        window_s: length of the rolling window, in seconds.
    """

    def __init__(self, now: Callable[[], float], budget: int, window_s: float) -> None:
        self.now, self.budget, self.window_s = now, budget, window_s
        self.tokens: dict[str, FakeToken] = {}
        self.apps = {"1000001": "the-secret-of-app-1000001"}
        self.codes: dict[str, tuple[str, str]] = {}
        self.logins: Counter[str] = Counter()

    def issue(self, ig_user_id: str, *, app_id: str = "1000001", lives_s: float = 60 * 86400.0) -> FakeToken:
        """Issue a token."""
        token = FakeToken(f"EAAB{secrets.token_urlsafe(30)}", ig_user_id, app_id, self.now() + lives_s)
        self.tokens[token.secret] = token
        return token

    def renew(self, secret: str, *, lives_s: float = 60 * 86400.0) -> FakeToken | None:
        """Exchange a valid token for a long-lived one; the count of the account continues."""
        old = self.tokens.get(secret)
        if old is None or old.expires_at <= self.now():
            return None
        new = self.issue(old.ig_user_id, app_id=old.app_id, lives_s=lives_s)
        new.hits, new.permitted = old.hits, old.permitted
        return new

    def spend(self, token: FakeToken) -> bool:
        """Count a request. False: it exceeds the budget."""
        now = self.now()
        while token.hits and token.hits[0] <= now - self.window_s:
            token.hits.popleft()
        token.n_requests += 1
        token.hits.append(now)
        token.peak = max(token.peak, len(token.hits))
        if len(token.hits) > self.budget:
            token.n_refused += 1
            return False
        return True

    def usage_percent(self, token: FakeToken) -> int:
        """Return the used part of the budget, in whole percent."""
        return len(token.hits) * 100 // self.budget

    def minutes_to_regain(self, token: FakeToken) -> int:
        """Return the minutes until the oldest request leaves the window; 0 while there is budget left."""
        if len(token.hits) < self.budget:
            return 0
        return int((token.hits[-self.budget] + self.window_s - self.now()) // 60) + 1

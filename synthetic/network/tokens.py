"""The fake network's memory of tokens: who they belong to, what they may do, and what they have spent.

Spending is counted the way the real network does, over a rolling window, by the server's clock; `peak`
is what a test compares with the budget.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FakeToken", "TokenOffice"]


@dataclass(slots=True)
class FakeToken:
    """A token that the network has handed out."""

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
    """All tokens and logins of the fake network.

    Args:
        now: the server's clock, seconds since 1970.
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
        """Hand out a token."""
        token = FakeToken(f"EAAB{secrets.token_urlsafe(30)}", ig_user_id, app_id, self.now() + lives_s)
        self.tokens[token.secret] = token
        return token

    def renew(self, secret: str, *, lives_s: float = 60 * 86400.0) -> FakeToken | None:
        """A long-lived token for a living one; the account's spending goes on."""
        old = self.tokens.get(secret)
        if old is None or old.expires_at <= self.now():
            return None
        new = self.issue(old.ig_user_id, app_id=old.app_id, lives_s=lives_s)
        new.hits, new.permitted = old.hits, old.permitted
        return new

    def spend(self, token: FakeToken) -> bool:
        """Count a request; False when it is one too many."""
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
        """Spent part of the budget, in whole percent as the network says it."""
        return len(token.hits) * 100 // self.budget

    def minutes_to_regain(self, token: FakeToken) -> int:
        """Until the oldest request leaves the window; 0 while there is budget left."""
        if len(token.hits) < self.budget:
            return 0
        return int((token.hits[-self.budget] + self.window_s - self.now()) // 60) + 1

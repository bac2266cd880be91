"""The pool of tokens: choose the token of each request, and wait while all budgets are spent.

A request uses the usable token with the largest budget left. A budget is a rolling window. A request counts from
before it is sent until the window has passed *after the last time at which it can have reached the network* (its
timeout later), so that the network, which uses its own clock, never counts more requests than we do. The count in the
network's usage headers can only lower our budget.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from photogenic.ingest.instagram.rate_headers import usage
from photogenic.ingest.instagram.token_store import Token, TokenState, Vault
from photogenic.ingest.journal.clock import Clock, instant
from photogenic.warehouse import NetworkError, Progress, no_progress

__all__ = ["TokenPool", "TokenStatus"]


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """State of one token; times in seconds since 1970.

    Attributes:
        token: the token.
        left: number of requests left in the window.
        state: ready, parked, or the reason why it cannot be used.
        available_at: time at which it can be used again; None: never.
    """

    token: Token
    left: int
    state: str
    available_at: float | None


@dataclass(slots=True)
class _TokenBudget:
    token: Token
    spent: deque[float] = field(default_factory=deque)


class TokenPool:
    """The tokens of a vault, during one crawl.

    Args:
        vault: store of the tokens.
        clock: clock used for waiting.
        budget: largest number of requests per token and window.
        window_s: length of the rolling window, in seconds.
        longest_request_s: time limit of a request, in seconds.
        progress: Progress callback.
    """

    def __init__(
        self,
        vault: Vault,
        clock: Clock,
        *,
        budget: int = 200,
        window_s: float = 3600.0,
        longest_request_s: float = 60.0,
        progress: Progress = no_progress,
    ) -> None:
        self.vault, self.clock, self.progress = vault, clock, progress
        self.budget, self.window_s = budget, window_s
        self._counted_s = window_s + longest_request_s
        spent = vault.spent(clock.now() - self._counted_s)
        self._budgets = {t.key: _TokenBudget(t, deque(spent.get(t.key, ()))) for t in vault.tokens()}
        self._announced_until = 0.0

    async def lease(self, avoid: frozenset[str] = frozenset()) -> Token | None:
        """Choose the token of the next request, and charge its budget. Waits while all tokens are paused.

        Returns None when only tokens in `avoid` are left.

        Raises:
            NetworkError: no token can be used again.
        """
        while True:
            usable = [s for s in self.statuses() if s.available_at is not None]
            if not usable:
                raise NetworkError(
                    self._no_token_message(),
                    "a token that is neither expired nor revoked",
                    "features login --app-id ID",
                )
            open_to_us = [s for s in usable if s.token.key not in avoid]
            if not open_to_us:
                return None
            now = self.clock.now()
            able = [s for s in open_to_us if s.available_at is not None and s.available_at <= now]
            if able:
                chosen = max(able, key=lambda s: (s.left, s.token.key)).token
                self.vault.spend(chosen.key, now)
                self._budgets[chosen.key].spent.append(now)
                return chosen
            until = min(s.available_at for s in open_to_us if s.available_at is not None)
            if until != self._announced_until:
                self._announced_until = until
                at = instant(until).isoformat(sep=" ", timespec="seconds")
                self.progress.note(f"All {len(open_to_us)} tokens rest; on at {at} UTC.")
            await self.clock.wait(until)

    def statuses(self) -> list[TokenStatus]:
        """The state of each token now, by key."""
        return [self._status(spending) for _, spending in sorted(self._budgets.items())]

    def observe(self, token: Token, headers: Mapping[str, str]) -> None:
        """Lower the budget if the usage headers report more requests than we counted."""
        reported = usage(headers)
        spending = self._budgets[token.key]
        self._forget_old(spending)
        unknown = math.ceil(min(reported.percent, 100) * self.budget / 100) - len(spending.spent)
        spending.spent.extend([self.clock.now()] * max(unknown, 0))
        if reported.regain_s > 0:
            self.pause(token, self.clock.now() + reported.regain_s)

    def pause(self, token: Token, until: float, *, whole_app: bool = False) -> None:
        """Pause a token, or all tokens of its app, until a time."""
        for spending in self._budgets.values():
            meant = spending.token.key == token.key or (whole_app and spending.token.app_id == token.app_id)
            if meant and until > spending.token.parked_until:
                self._set(spending, parked_until=until)

    def drop(self, token: Token, state: TokenState) -> None:
        """Stop using a token, for good."""
        self._set(self._budgets[token.key], state=state)
        self.progress.note(f"Token {token.key} ({token.username}) is {state.replace('_', ' ')} and no longer used.")

    def _set(
        self, spending: _TokenBudget, *, state: TokenState | None = None, parked_until: float | None = None
    ) -> None:
        old = spending.token
        spending.token = replace(
            old,
            state=state or old.state,
            parked_until=old.parked_until if parked_until is None else parked_until,
        )
        self.vault.update(old.key, state=state, parked_until=parked_until)

    def _status(self, spending: _TokenBudget) -> TokenStatus:
        token, now = spending.token, self.clock.now()
        self._forget_old(spending)
        left = max(self.budget - len(spending.spent), 0)
        if token.state == "ready" and token.expires_at is not None and token.expires_at <= now:
            self._set(spending, state="expired")
            token = spending.token
        if token.state != "ready":
            return TokenStatus(token, left, token.state, None)
        free_at = now if left else spending.spent[len(spending.spent) - self.budget] + self._counted_s
        at = max(free_at, token.parked_until)
        return TokenStatus(token, left, "ready" if at <= now else "parked", max(at, now))

    def _forget_old(self, spending: _TokenBudget) -> None:
        horizon = self.clock.now() - self._counted_s
        while spending.spent and spending.spent[0] <= horizon:
            spending.spent.popleft()

    def _no_token_message(self) -> str:
        if not self._budgets:
            return f"There is no token in {self.vault.folder}."
        states = ", ".join(f"{p.token.username}: {p.token.state}" for p in self._budgets.values())
        return f"None of the {len(self._budgets)} tokens can be used ({states})."

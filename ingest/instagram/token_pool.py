"""The pool of tokens: who asks next, and how long to rest when nobody may.

A request goes to the usable token with most budget left. The budget of each is a rolling window; a
request counts from before it is sent until the window has passed *after the last instant at which it can
have reached the network* (its timeout later), so that the network, which counts by its own clock, never
counts more than we do. What the network says of its count in the usage headers only ever lowers ours.
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

__all__ = ["Standing", "TokenPool"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one token stands; instants in seconds since 1970.

    Attributes:
        token: whose.
        left: requests left in the window.
        state: ready, parked, or why it cannot be used.
        available_at: when it can be used again; None: never.
    """

    token: Token
    left: int
    state: str
    available_at: float | None


@dataclass(slots=True)
class _Purse:
    token: Token
    spent: deque[float] = field(default_factory=deque)


class TokenPool:
    """The tokens of a vault, during one crawl.

    Args:
        vault: where they are kept.
        clock: what waiting goes by.
        budget: requests per token and window.
        window_s: length of the rolling window, in seconds.
        longest_request_s: after that a request is given up.
        progress: hears until when everybody rests.
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
        self._held_s = window_s + longest_request_s
        spent = vault.spent(clock.now() - self._held_s)
        self._purses = {t.key: _Purse(t, deque(spent.get(t.key, ()))) for t in vault.tokens()}
        self._told = 0.0

    async def lease(self, avoid: frozenset[str] = frozenset()) -> Token | None:
        """The token for the next request, its budget charged; waits while all rest.

        Returns None when only tokens in `avoid` are left.

        Raises:
            NetworkError: no token can ever be used again.
        """
        while True:
            standing = [s for s in self.standings() if s.available_at is not None]
            if not standing:
                raise NetworkError(
                    self._why_none(),
                    "a token that is neither expired nor revoked",
                    "features login --app-id ID",
                )
            open_to_us = [s for s in standing if s.token.key not in avoid]
            if not open_to_us:
                return None
            now = self.clock.now()
            able = [s for s in open_to_us if s.available_at is not None and s.available_at <= now]
            if able:
                chosen = max(able, key=lambda s: (s.left, s.token.key)).token
                self.vault.spend(chosen.key, now)
                self._purses[chosen.key].spent.append(now)
                return chosen
            until = min(s.available_at for s in open_to_us if s.available_at is not None)
            if until != self._told:
                self._told = until
                at = instant(until).isoformat(sep=" ", timespec="seconds")
                self.progress.note(f"All {len(open_to_us)} tokens rest; on at {at} UTC.")
            await self.clock.wait(until)

    def standings(self) -> list[Standing]:
        """How each token stands now, by key."""
        return [self._standing(purse) for _, purse in sorted(self._purses.items())]

    def observe(self, token: Token, headers: Mapping[str, str]) -> None:
        """Believe the network where its usage headers say that more was spent than we know of."""
        reported = usage(headers)
        purse = self._purses[token.key]
        self._forget_old(purse)
        unknown = math.ceil(min(reported.percent, 100) * self.budget / 100) - len(purse.spent)
        purse.spent.extend([self.clock.now()] * max(unknown, 0))
        if reported.regain_s > 0:
            self.park(token, self.clock.now() + reported.regain_s)

    def park(self, token: Token, until: float, *, whole_app: bool = False) -> None:
        """Let a token, or all tokens of its app, rest until an instant."""
        for purse in self._purses.values():
            meant = purse.token.key == token.key or (whole_app and purse.token.app_id == token.app_id)
            if meant and until > purse.token.parked_until:
                self._set(purse, parked_until=until)

    def drop(self, token: Token, state: TokenState) -> None:
        """Use a token no more, for good."""
        self._set(self._purses[token.key], state=state)
        self.progress.note(f"Token {token.key} ({token.username}) is {state.replace('_', ' ')} and used no more.")

    def _set(self, purse: _Purse, *, state: TokenState | None = None, parked_until: float | None = None) -> None:
        old = purse.token
        purse.token = replace(
            old,
            state=state or old.state,
            parked_until=old.parked_until if parked_until is None else parked_until,
        )
        self.vault.update(old.key, state=state, parked_until=parked_until)

    def _standing(self, purse: _Purse) -> Standing:
        token, now = purse.token, self.clock.now()
        self._forget_old(purse)
        left = max(self.budget - len(purse.spent), 0)
        if token.state == "ready" and token.expires_at is not None and token.expires_at <= now:
            self._set(purse, state="expired")
            token = purse.token
        if token.state != "ready":
            return Standing(token, left, token.state, None)
        free_at = now if left else purse.spent[len(purse.spent) - self.budget] + self._held_s
        at = max(free_at, token.parked_until)
        return Standing(token, left, "ready" if at <= now else "parked", max(at, now))

    def _forget_old(self, purse: _Purse) -> None:
        horizon = self.clock.now() - self._held_s
        while purse.spent and purse.spent[0] <= horizon:
            purse.spent.popleft()

    def _why_none(self) -> str:
        if not self._purses:
            return f"There is no token in {self.vault.folder}."
        states = ", ".join(f"{p.token.username}: {p.token.state}" for p in self._purses.values())
        return f"None of the {len(self._purses)} tokens can be used ({states})."

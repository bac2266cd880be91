"""Access tokens: owner, expiry, and the files that store them.

They are outside of every store, so that no copy of a store contains them: in the user's data folder, or in
`$FEATURES_TOKENS`, in files that only their owner may read. A secret is not in its text, its repr or a pickle; only
`reveal()` returns it, which is called where a request is made and nowhere else.

    tokens.json    the tokens and the apps they came from, replaced atomically
    spent          one line per request and token: the budgets survive a crash
    lock, in-use   one writer at a time; one crawl at a time
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from photogenic._lazy import platformdirs
from photogenic.warehouse import InputError
from photogenic.warehouse.storage.lock import locked

__all__ = ["Secret", "Token", "TokenState", "Vault", "token_key"]

TokenState = Literal["ready", "expired", "revoked", "no_permission"]


class Secret:
    """A text that is not printed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True)
class Token:
    """Access token of one account.

    Attributes:
        key: short public name, the same after a refresh.
        secret: the token itself.
        ig_user_id: id of the Instagram account.
        username: name of the account.
        app_id: id of the app that the account logged in to.
        expires_at: expiry, in seconds since 1970; None: never.
        state: ready, or the reason why it cannot be used.
        parked_until: end of the pause that the network asked for, in seconds since 1970.
    """

    key: str
    secret: Secret
    ig_user_id: str
    username: str
    app_id: str
    expires_at: float | None
    state: TokenState = "ready"
    parked_until: float = 0.0


def token_key(app_id: str, ig_user_id: str) -> str:
    """The public name of an account's token for an app."""
    return hashlib.sha256(f"{app_id}:{ig_user_id}".encode()).hexdigest()[:8]


class Vault:
    """The folder with the tokens.

    Args:
        folder: path of the folder. Default: `$FEATURES_TOKENS`, else the user's data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _default_folder()
        self._file, self._spent = self.folder / "tokens.json", self.folder / "spent"

    def tokens(self) -> list[Token]:
        """All tokens, by key.

        Raises:
            InputError: other users may read the file.
        """
        return [_token(entry) for _, entry in sorted(self._read()["tokens"].items())]

    def put(self, token: Token) -> None:
        """Store a token; it replaces one of the same key."""
        with self._changing() as content:
            content["tokens"][token.key] = _entry(token)

    def update(self, key: str, *, state: TokenState | None = None, parked_until: float | None = None) -> None:
        """Store a token's state. Unknown keys are ignored: the token may have been removed meanwhile."""
        with self._changing() as content:
            if entry := content["tokens"].get(key):
                entry["state"] = state or entry["state"]
                entry["parked_until"] = entry["parked_until"] if parked_until is None else parked_until

    def forget(self, key: str) -> bool:
        """Remove a token; False when there was none of this key."""
        with self._changing() as content:
            return content["tokens"].pop(key, None) is not None

    def app(self, app_id: str) -> Secret | None:
        """The secret of an app, needed to refresh its tokens."""
        text = self._read()["apps"].get(app_id)
        return None if text is None else Secret(text)

    def put_app(self, app_id: str, secret: Secret) -> None:
        """Store an app's secret."""
        with self._changing() as content:
            content["apps"][app_id] = secret.reveal()

    def spend(self, key: str, at: float) -> None:
        """Record a request before it is sent; it counts even if the process is killed."""
        with _private(self._spent, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
            os.write(fd, f"{key} {at:.3f}\n".encode())

    def spent(self, since: float) -> dict[str, list[float]]:
        """The times at which each token was used after `since`, oldest first."""
        recent: dict[str, list[float]] = {}
        lines = self._spent.read_text().splitlines() if self._spent.exists() else []
        for line in lines:
            key, _, at = line.partition(" ")
            with contextlib.suppress(ValueError):
                if float(at) > since:
                    recent.setdefault(key, []).append(float(at))
        return {key: sorted(instants) for key, instants in recent.items()}

    def forget_spent(self, until: float) -> None:
        """Drop old requests from the record. Only the crawl that writes it may do that."""
        recent = self.spent(until)
        self._replace(self._spent, "".join(f"{key} {at:.3f}\n" for key, instants in recent.items() for at in instants))

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Reserve these tokens for this crawl.

        Raises:
            LockedError: another crawl uses them.
        """
        self._make_folder()
        with locked(self.folder / "in-use", "crawl", 0.0):
            yield

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        self._make_folder()
        with locked(self.folder / "lock", "tokens", 10.0):
            content = self._read()
            yield content
            self._replace(self._file, json.dumps(content, indent=1))

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self._file.exists():
            return {"tokens": {}, "apps": {}}
        if self._file.stat().st_mode & 0o077:
            raise InputError(
                f"{self._file} can be read by others than its owner.",
                "a file with mode 600",
                f"chmod 600 {self._file}",
            )
        return cast("dict[str, dict[str, Any]]", json.loads(self._file.read_text()))

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _replace(self, path: Path, text: str) -> None:
        self._make_folder()
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with _private(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            os.write(fd, text.encode())
            os.fsync(fd)
        temporary.replace(path)


@contextlib.contextmanager
def _private(path: Path, flags: int) -> Iterator[int]:
    """Open a file descriptor on a file that only its owner may read, from its creation on."""
    fd = os.open(path, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _default_folder() -> Path:

    named = os.environ.get("FEATURES_TOKENS")
    return Path(named) if named else platformdirs.user_data_path("photogenic") / "tokens"


def _token(entry: dict[str, Any]) -> Token:
    return Token(**{**entry, "secret": Secret(entry["secret"])})


def _entry(token: Token) -> dict[str, Any]:
    plain = replace(token)
    return {name: getattr(plain, name) for name in Token.__slots__ if name != "secret"} | {
        "secret": token.secret.reveal()
    }

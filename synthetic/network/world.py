"""Data of the fake network: accounts with followers, and posts with likes and images.

`FakeWorld.tiny` generates them with images of a few hundred bytes; `FakeWorld.from_folder` reads users.csv
and photos.csv in the columns of `features ingest`, e.g. of a synthetic world on disk.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photogenic._lazy import Image

__all__ = ["Account", "FakeWorld", "Post", "tiny_picture"]

_EPOCH = dt.datetime(2024, 1, 1)
_TAGS = ("me", "selfie", "portrait", "sunday", "friends")


@dataclass(slots=True)
class Post:
    """One post. `likes` is None if the owner hides the count. `picture` is the key of its image."""

    media_id: str
    caption: str
    likes: int | None
    comments: int
    kind: str
    posted_at: dt.datetime
    picture: str

    def tagged(self, tag: str) -> bool:
        return f"#{tag}" in self.caption.lower().split()


@dataclass(slots=True)
class Account:
    """One professional account, with posts from new to old."""

    user_id: str
    username: str
    followers: int
    posts: list[Post] = field(default_factory=list)


@dataclass(slots=True)
class FakeWorld:
    """Accounts by username, and a function from key to image bytes (KeyError: no such image)."""

    accounts: dict[str, Account]
    picture: Callable[[str], bytes]

    @classmethod
    def tiny(cls, n_accounts: int, posts_each: int, rng: random.Random) -> FakeWorld:
        """Generate a world in which each image is a different small JPEG."""
        accounts: dict[str, Account] = {}
        for number in range(n_accounts):
            followers = int(rng.lognormvariate(7, 2)) + 1
            posts = [_invent(rng, f"9{number:07d}{serial:04d}", followers, serial) for serial in range(posts_each)]
            account = Account(f"1784{number:08d}", f"person_{number}", followers, posts)
            accounts[account.username] = account
        return cls(accounts, tiny_picture)

    @classmethod
    def from_folder(cls, folder: Path) -> FakeWorld:
        """Read accounts and posts from `folder`/users.csv and photos.csv, and images from `folder`/images.

        Invalid rows are skipped, since a network would not have accepted them.
        """
        accounts: dict[str, Account] = {}
        for row in _rows(folder / "users.csv"):
            with contextlib.suppress(ValueError):
                user_id = row["user_id"].strip()
                if user_id and user_id not in accounts:
                    accounts[user_id] = Account(user_id, user_id.lower(), int(row["followers"]))
        posts: dict[str, tuple[str, Post]] = {}
        for row in _rows(folder / "photos.csv"):
            with contextlib.suppress(ValueError):
                if row["photo_id"].strip() and row["user_id"] in accounts:
                    posts.setdefault(row["photo_id"], (row["user_id"], _read(row)))
        for owner, post in posts.values():
            accounts[owner].posts.append(post)
        for account in accounts.values():
            account.posts.sort(key=lambda post: (post.posted_at, post.media_id), reverse=True)
        return cls({a.username: a for a in accounts.values()}, lambda key: _picture(folder / "images", key))

    def tagged(self, tag: str) -> list[Post]:
        """Return all posts with a hashtag, from new to old."""
        found = [post for account in self.accounts.values() for post in account.posts if post.tagged(tag)]
        return sorted(found, key=lambda post: (post.posted_at, post.media_id), reverse=True)


def tiny_picture(key: str) -> bytes:
    """Return a JPEG of 16 x 16 pixels whose colors depend on `key`."""
    rng = random.Random(key)
    image = Image.new("RGB", (16, 16), (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    for _ in range(8):
        image.putpixel((rng.randrange(16), rng.randrange(16)), (rng.randrange(256), rng.randrange(256), 0))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=90)
    return target.getvalue()


def _invent(rng: random.Random, media_id: str, followers: int, serial: int) -> Post:
    draw = rng.random()
    return Post(
        media_id=media_id,
        caption=" ".join(["A day.", *(f"#{tag}" for tag in rng.sample(_TAGS, 2))]),
        likes=None if draw < 0.02 else int(followers * rng.betavariate(2, 20)),
        comments=rng.randrange(40),
        kind="VIDEO" if draw > 0.95 else "IMAGE",
        posted_at=_EPOCH - dt.timedelta(days=serial, minutes=rng.randrange(1440)),
        picture=f"{media_id}.jpg",
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _picture(folder: Path, key: str) -> bytes:
    try:
        return (folder / key).read_bytes()
    except FileNotFoundError:
        raise KeyError(key) from None


def _read(row: dict[str, str]) -> Post:
    """Make a post from a row of photos.csv.

    Raises:
        ValueError: the row is invalid.
    """
    posted_at = dt.datetime.fromisoformat(row["posted_at"])
    if posted_at.tzinfo:
        posted_at = posted_at.astimezone(dt.UTC).replace(tzinfo=None)
    likes = int(row["likes"])
    if likes < 0:
        raise ValueError(likes)
    return Post(row["photo_id"], row["hashtags"], likes, 0, "IMAGE", posted_at, row["path"])

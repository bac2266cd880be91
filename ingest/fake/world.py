"""The people of the fake network: accounts with followers, posts with likes, and a picture for each.

`FakeWorld.tiny` invents them with pictures of a few hundred bytes; `FakeWorld.of_folder` takes users.csv
and photos.csv in the columns of `features ingest`, such as a synthetic world on disk.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Account", "FakeWorld", "Post", "tiny_picture"]

_EPOCH = dt.datetime(2024, 1, 1)
_TAGS = ("me", "selfie", "portrait", "sunday", "friends")


@dataclass(slots=True)
class Post:
    """One post. `likes` None: the owner hides the count. `picture` is the key of its picture."""

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
    """One professional account; posts are newest first."""

    user_id: str
    username: str
    followers: int
    posts: list[Post] = field(default_factory=list)


@dataclass(slots=True)
class FakeWorld:
    """Accounts by username, and where the pictures' bytes come from (KeyError: there is none)."""

    accounts: dict[str, Account]
    picture: Callable[[str], bytes]

    @classmethod
    def tiny(cls, n_accounts: int, posts_each: int, rng: random.Random) -> FakeWorld:
        """An invented world; each picture is a different small JPEG."""
        accounts: dict[str, Account] = {}
        for number in range(n_accounts):
            followers = int(rng.lognormvariate(7, 2)) + 1
            posts = [_invent(rng, f"9{number:07d}{serial:04d}", followers, serial) for serial in range(posts_each)]
            account = Account(f"1784{number:08d}", f"person_{number}", followers, posts)
            accounts[account.username] = account
        return cls(accounts, tiny_picture)

    @classmethod
    def of_folder(cls, folder: Path) -> FakeWorld:
        """The people and posts of `folder`/users.csv and photos.csv; pictures are read from beside them."""
        accounts: dict[str, Account] = {}
        paths: dict[str, Path] = {}
        with (folder / "users.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                user_id = row["user_id"]
                accounts[user_id] = Account(user_id, user_id.replace("-", "_"), int(row.get("followers") or 0))
        with (folder / "photos.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                post = _read(row)
                paths[post.picture] = folder / row["path"]
                accounts[row["user_id"]].posts.append(post)
        for account in accounts.values():
            account.posts.sort(key=lambda post: post.posted_at, reverse=True)
        return cls({a.username: a for a in accounts.values()}, lambda key: paths[key].read_bytes())

    def tagged(self, tag: str) -> list[Post]:
        """All posts with a hashtag, newest first."""
        found = [post for account in self.accounts.values() for post in account.posts if post.tagged(tag)]
        return sorted(found, key=lambda post: (post.posted_at, post.media_id), reverse=True)


def tiny_picture(key: str) -> bytes:
    """A JPEG of 16 x 16 pixels whose colours depend on `key`."""
    from PIL import Image

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


def _read(row: dict[str, str]) -> Post:
    tags = [tag for tag in (row.get("hashtags") or "").replace(",", " ").replace("|", " ").split() if tag]
    likes = row.get("likes")
    return Post(
        media_id=row["photo_id"],
        caption=" ".join(f"#{tag.lstrip('#')}" for tag in tags),
        likes=int(likes) if likes else None,
        comments=0,
        kind="IMAGE",
        posted_at=dt.datetime.fromisoformat(row["posted_at"]) if row.get("posted_at") else _EPOCH,
        picture=f"{row['photo_id']}.jpg",
    )

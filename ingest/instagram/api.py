"""Requests to the Instagram Graph API, and parsers of its answers.

Business Discovery finds accounts (professional ones, by username), Hashtag Search finds posts of a hashtag. Both
answer in pages, newest first. The API names no owner for posts found by a hashtag, leaves out likes that an owner
hides, and returns videos as well; only pictures are stored.
Source: developers.facebook.com, "Business Discovery", "Hashtag Search", "IG Media".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from photogenic.ingest.instagram.client import Graph, Refusal
from photogenic.ingest.instagram.responses import InvalidAnswerError, as_object, count, instant, items, read_id, text

__all__ = [
    "Page",
    "Post",
    "Profile",
    "Target",
    "account_page",
    "hashtag_id",
    "hashtag_page",
    "read_account",
    "read_hashtag",
    "read_media",
    "target",
]

_MEDIA = "id,caption,like_count,comments_count,media_type,media_url,permalink,timestamp"
_T = TypeVar("_T")
_PICTURES = frozenset({"IMAGE", "CAROUSEL_ALBUM"})
_USERNAME = re.compile(r"[a-z0-9._]{1,30}")
_HASHTAG = re.compile(r"\w{1,100}")
_TAGS = re.compile(r"#(\w+)")
_TAG_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
_LONGEST_CURSOR = 4096
_LONGEST_URL = 16_384


@dataclass(frozen=True, slots=True)
class Target:
    """What to crawl: kind 'user', 'recent' or 'top', and a username or hashtag."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile at the time of the request."""

    user_id: str
    followers: int | None
    posts: int | None


@dataclass(frozen=True, slots=True)
class Post:
    """A picture post at the time of the request. `posted_at` is UTC without zone, `likes` is None where hidden."""

    photo_id: str
    user_id: str | None
    url: str | None
    posted_at: dt.datetime | None
    likes: int | None
    comments: int | None
    hashtags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of posts. `ids`: of all posts, with videos. `after`: cursor of the next page; None: the last page."""

    account: Profile | None
    posts: list[Post]
    n_others: int
    oldest: dt.datetime | None
    after: str | None
    ids: tuple[str, ...] = ()


def target(kind: str, text: str) -> Target | None:
    """Parse a target from user input (@name, #tag, a profile's URL). None: it is not a valid name."""
    name = text.strip().lower().removesuffix("/").rsplit("/", 1)[-1].lstrip("@#")
    pattern = _USERNAME if kind == "user" else _HASHTAG
    return Target(kind, name) if pattern.fullmatch(name) else None


async def account_page(graph: Graph, username: str, after: str | None, limit: int) -> Page | Refusal:
    """Request a page of an account's posts. The first page has the profile too."""
    cursor = f".after({after})" if after else ""
    counts = "" if after else "followers_count,media_count,"
    fields = f"business_discovery.username({username}){{{counts}media{cursor}.limit({limit}){{{_MEDIA}}}}}"
    answer = await graph.get("{me}", {"fields": fields})
    return answer if isinstance(answer, Refusal) else _read(read_account, answer, after is None)


async def hashtag_id(graph: Graph, tag: str) -> str | Refusal:
    """Request the id of a hashtag."""
    answer = await graph.get("ig_hashtag_search", {"user_id": "{me}", "q": tag})
    return answer if isinstance(answer, Refusal) else _read(read_hashtag, answer)


async def hashtag_page(graph: Graph, kind: str, tag_id: str, after: str | None, limit: int) -> Page | Refusal:
    """Request a page of a hashtag's recent or top posts."""
    parameters = {"user_id": "{me}", "fields": _MEDIA, "limit": str(min(limit, 50))}
    if after:
        parameters["after"] = after
    answer = await graph.get(f"{tag_id}/{kind}_media", parameters)
    return answer if isinstance(answer, Refusal) else _read(read_media, answer, "the answer", None, None)


def _read(read: Callable[..., _T], *given: Any) -> _T | Refusal:
    try:
        return read(*given)
    except InvalidAnswerError as odd:
        return Refusal("api_error", f"an odd answer: {odd}", odd=True)


def read_account(answer: dict[str, Any], is_first: bool) -> Page | Refusal:
    """Parse an answer about an account.

    Raises:
        InvalidAnswerError: it is not as documented.
    """
    found = as_object(answer.get("business_discovery"), "business_discovery")
    if not found.get("id"):
        return Refusal("api_error", "an answer without an account", odd=True)
    place = "business_discovery"
    user_id = read_id(found, place)
    followers, posts = count(found, "followers_count", place), count(found, "media_count", place)
    account = Profile(user_id, followers, posts) if is_first else None
    return read_media(as_object(found.get("media"), "media"), "media", account, user_id)


def read_hashtag(answer: dict[str, Any]) -> str | Refusal:
    """Parse an answer with the id of a hashtag.

    Raises:
        InvalidAnswerError: it is not as documented.
    """
    found = items(answer.get("data"), "data")
    if not found or not found[0].get("id"):
        return Refusal("unknown", "no id")
    tag_id = read_id(found[0], "data[0]")
    if not _TAG_ID.fullmatch(tag_id):
        raise InvalidAnswerError("data[0].id is no id")
    return tag_id


def read_media(media: dict[str, Any], place: str, account: Profile | None, user_id: str | None) -> Page:
    """Parse a page of posts.

    Raises:
        InvalidAnswerError: it is not as documented.
    """
    entries = items(media.get("data"), f"{place}.data")
    named = [(entry, f"{place}.data[{at}]") for at, entry in enumerate(entries)]
    pictures = [(entry, at) for entry, at in named if text(entry.get("media_type"), f"{at}.media_type") in _PICTURES]
    instants = [when for entry, at in named if (when := instant(entry.get("timestamp"), f"{at}.timestamp"))]
    paging = as_object(media.get("paging"), f"{place}.paging")
    cursors = as_object(paging.get("cursors"), f"{place}.paging.cursors")
    return Page(
        account=account,
        posts=[_post(entry, at, user_id) for entry, at in pictures],
        n_others=len(entries) - len(pictures),
        oldest=min(instants, default=None),
        after=text(cursors.get("after"), f"{place}.paging.cursors.after", _LONGEST_CURSOR),
        ids=tuple(read_id(entry, at) for entry, at in named),
    )


def _post(entry: dict[str, Any], place: str, user_id: str | None) -> Post:
    return Post(
        photo_id=read_id(entry, place),
        user_id=user_id,
        url=text(entry.get("media_url"), f"{place}.media_url", _LONGEST_URL),
        posted_at=instant(entry.get("timestamp"), f"{place}.timestamp"),
        likes=count(entry, "like_count", place),
        comments=count(entry, "comments_count", place),
        hashtags=sorted({tag.lower() for tag in _TAGS.findall(text(entry.get("caption"), f"{place}.caption") or "")}),
    )

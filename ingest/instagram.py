"""The Instagram Graph API: which questions there are, and what their answers say.

Accounts are asked for by Business Discovery (professional accounts, by username), posts of a hashtag by
Hashtag Search. Both answer in pages, newest first. The API names no owner for posts found by a hashtag,
leaves out likes that an owner hides, and serves videos as well; only pictures are kept here.
Source: developers.facebook.com, "Business Discovery", "Hashtag Search", "IG Media".
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

from ingest.graph import Graph, Refusal

__all__ = ["Account", "Page", "Post", "Target", "account_page", "hashtag_id", "hashtag_page", "target"]

_MEDIA = "id,caption,like_count,comments_count,media_type,media_url,permalink,timestamp"
_PICTURES = frozenset({"IMAGE", "CAROUSEL_ALBUM"})
_USERNAME = re.compile(r"[a-z0-9._]{1,30}")
_HASHTAG = re.compile(r"\w{1,100}")
_TAGS = re.compile(r"#(\w+)")


@dataclass(frozen=True, slots=True)
class Target:
    """What to walk along: kind 'user', 'recent' or 'top', and a username or hashtag."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Account:
    """A profile as it was seen."""

    user_id: str
    followers: int | None
    posts: int | None


@dataclass(frozen=True, slots=True)
class Post:
    """A picture post as it was seen; `posted_at` UTC without zone, `likes` None where hidden."""

    photo_id: str
    user_id: str | None
    url: str | None
    posted_at: dt.datetime | None
    likes: int | None
    comments: int | None
    hashtags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. `after`: where the next page begins; None: this was the last."""

    account: Account | None
    posts: list[Post]
    n_others: int
    oldest: dt.datetime | None
    after: str | None


def target(kind: str, text: str) -> Target | None:
    """A target from what a person wrote (@name, #tag, a profile's address); None: it names none."""
    name = text.strip().lower().removesuffix("/").rsplit("/", 1)[-1].lstrip("@#")
    pattern = _USERNAME if kind == "user" else _HASHTAG
    return Target(kind, name) if pattern.fullmatch(name) else None


async def account_page(graph: Graph, username: str, after: str | None, limit: int) -> Page | Refusal:
    """A page of an account's posts; the first one carries the profile too."""
    cursor = f".after({after})" if after else ""
    counts = "" if after else "followers_count,media_count,"
    fields = f"business_discovery.username({username}){{{counts}media{cursor}.limit({limit}){{{_MEDIA}}}}}"
    answer = await graph.get("{me}", {"fields": fields})
    if isinstance(answer, Refusal):
        return answer
    found = answer.get("business_discovery")
    if not isinstance(found, dict) or not found.get("id"):
        return Refusal("api_error", "an answer without an account")
    user_id = str(found["id"])
    account = None if after else Account(user_id, _count(found, "followers_count"), _count(found, "media_count"))
    return _page(found.get("media") or {}, account, user_id)


async def hashtag_id(graph: Graph, tag: str) -> str | Refusal:
    """The id that stands for a hashtag."""
    answer = await graph.get("ig_hashtag_search", {"user_id": "{me}", "q": tag})
    if isinstance(answer, Refusal):
        return answer
    found = answer.get("data") or [{}]
    return str(found[0]["id"]) if found[0].get("id") else Refusal("unknown", "no id")


async def hashtag_page(graph: Graph, kind: str, tag_id: str, after: str | None, limit: int) -> Page | Refusal:
    """A page of a hashtag's recent or top posts."""
    parameters = {"user_id": "{me}", "fields": _MEDIA, "limit": str(min(limit, 50))}
    if after:
        parameters["after"] = after
    answer = await graph.get(f"{tag_id}/{kind}_media", parameters)
    return answer if isinstance(answer, Refusal) else _page(answer, None, None)


def _page(media: dict[str, Any], account: Account | None, user_id: str | None) -> Page:
    entries = [entry for entry in media.get("data") or [] if entry.get("id")]
    pictures = [entry for entry in entries if entry.get("media_type") in _PICTURES]
    instants = [at for entry in entries if (at := _instant(entry.get("timestamp")))]
    return Page(
        account=account,
        posts=[_post(entry, user_id) for entry in pictures],
        n_others=len(entries) - len(pictures),
        oldest=min(instants, default=None),
        after=((media.get("paging") or {}).get("cursors") or {}).get("after") if entries else None,
    )


def _post(entry: dict[str, Any], user_id: str | None) -> Post:
    return Post(
        photo_id=str(entry["id"]),
        user_id=user_id,
        url=entry.get("media_url"),
        posted_at=_instant(entry.get("timestamp")),
        likes=_count(entry, "like_count"),
        comments=_count(entry, "comments_count"),
        hashtags=sorted({tag.lower() for tag in _TAGS.findall(entry.get("caption") or "")}),
    )


def _count(entry: dict[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if isinstance(value, int) else None


def _instant(text: Any) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC).replace(tzinfo=None)
    except (TypeError, ValueError):
        return None

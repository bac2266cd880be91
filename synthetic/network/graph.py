"""API of the fake network, after the Instagram Graph API.

    GET /{version}/{ig-user-id}?fields=business_discovery.username(NAME){...,media.after(C).limit(N){...}}
    GET /{version}/ig_hashtag_search?user_id=&q=
    GET /{version}/{hashtag-id}/recent_media | top_media ?user_id=&fields=&limit=&after=

with its cursors, usage headers and error bodies. One difference: recent_media is not limited to 24 hours.
Source: developers.facebook.com, "Business Discovery", "Hashtag Search", "Rate Limits", "Error Handling".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web
from yarl import URL

from photogenic.synthetic.network.faults import Faults
from photogenic.synthetic.network.tokens import FakeToken, TokenOffice
from photogenic.synthetic.network.world import FakeWorld, Post

__all__ = ["Graph"]

_DISCOVERY = re.compile(r"business_discovery\.username\((?P<name>[^)]*)\)\{(?P<fields>.*)\}$")
_MEDIA = re.compile(r"media(?P<modifiers>(?:\.\w+\([^)]*\))*)\{(?P<fields>[^}]*)\}")
_MODIFIER = re.compile(r"\.(\w+)\(([^)]*)\)")


class Graph:
    """Request handlers of the API.

    Args:
        world: accounts and posts.
        office: store of the tokens.
        base: address of the images in the posts.
        faults: faults, keyed by target and cursor: html, hang, http_500 and reset.

    Attributes:
        seen: number of requests by kind.
        tokens_in_urls: number of requests with a token in the URL, where logs and proxies can read it.
        odd: username or hashtag -> a function of the cursor that returns another status and body.
    """

    def __init__(self, world: FakeWorld, office: TokenOffice, base: URL, faults: Faults) -> None:
        self.world, self.office, self.base, self.faults = world, office, base, faults
        self.rate_code = 80002
        self.seen: Counter[str] = Counter()
        self.tokens_in_urls = 0
        self.odd: dict[str, Callable[[str | None], tuple[int, bytes]]] = {}
        self._asked: Counter[str] = Counter()
        self._tags: dict[str, str] = {}
        self._closing = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Add the routes to `app`."""
        app.router.add_get(r"/{version:v\d+\.\d+}/ig_hashtag_search", self._hashtag_search)
        app.router.add_get(r"/{version:v\d+\.\d+}/{tag_id:\d+}/{edge:recent_media|top_media}", self._hashtag_media)
        app.router.add_get(r"/{version:v\d+\.\d+}/{user_id:\d+}", self._discovery)
        app.on_shutdown.append(self._close)

    async def _close(self, _: web.Application) -> None:
        self._closing.set()

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        self.seen["discovery"] += 1
        asked = _DISCOVERY.match(request.query.get("fields", ""))
        name = asked["name"] if asked else ""
        media = _MEDIA.search(asked["fields"]) if asked else None
        modifiers = dict(_MODIFIER.findall(media["modifiers"])) if media else {}
        token = await self._admit(request, f"{name}:{modifiers.get('after', '')}")
        if isinstance(token, web.StreamResponse):
            return token
        if asked is None:
            return self._error(token, 400, 100, "Unsupported get request.")
        if name in self.odd:
            return self._oddly(name, modifiers.get("after"))
        account = self.world.accounts.get(name)
        if account is None:
            title = f"The user with username: {name} cannot be found."
            return self._error(token, 400, 110, "Invalid user id", subcode=2207013, title=title)
        answer: dict[str, Any] = {"id": account.user_id}
        plain = re.sub(r"\{[^}]*\}", "", asked["fields"])
        if "followers_count" in plain:
            answer["followers_count"] = account.followers
        if "media_count" in plain:
            answer["media_count"] = len(account.posts)
        if media is not None:
            page = self._page(account.posts, modifiers.get("after"), int(modifiers.get("limit", 25)), media["fields"])
            if page is None:
                return self._error(token, 400, 100, "Invalid parameter: after")
            answer["media"] = page
        return self._ok(token, {"business_discovery": answer, "id": token.ig_user_id})

    async def _hashtag_search(self, request: web.Request) -> web.StreamResponse:
        self.seen["hashtag_search"] += 1
        tag = request.query.get("q", "").lower()
        token = await self._admit(request, f"#{tag}")
        if isinstance(token, web.StreamResponse):
            return token
        if tag in self.odd:
            return self._oddly(tag, None)
        if not self.world.tagged(tag):
            title = "The hashtag does not exist or is not available."
            return self._error(token, 400, 24, "The requested resource does not exist", subcode=2207024, title=title)
        tag_id = str(17840000000000000 + sum(ord(c) * 257**i for i, c in enumerate(tag[:5])))
        self._tags[tag_id] = tag
        return self._ok(token, {"data": [{"id": tag_id}]})

    async def _hashtag_media(self, request: web.Request) -> web.StreamResponse:
        self.seen[request.match_info["edge"]] += 1
        tag = self._tags.get(request.match_info["tag_id"])
        after = request.query.get("after")
        token = await self._admit(request, f"#{tag}:{after or ''}")
        if isinstance(token, web.StreamResponse):
            return token
        if tag is None:
            return self._error(token, 400, 100, "Unsupported get request. Object does not exist", subcode=33)
        posts = self.world.tagged(tag)
        if request.match_info["edge"] == "top_media":
            posts.sort(key=lambda post: -(post.likes or 0))
        limit = min(int(request.query.get("limit", 25)), 50)
        page = self._page(posts, after, limit, request.query.get("fields", "id"))
        if page is None:
            return self._error(token, 400, 100, "Invalid parameter: after")
        if cursor := page.get("paging", {}).get("cursors", {}).get("after"):
            following = request.url.update_query(after=cursor, access_token=token.secret)
            page["paging"]["next"] = str(following)
        return self._ok(token, page)

    def _page(self, posts: list[Post], after: str | None, limit: int, fields: str) -> dict[str, Any] | None:
        """Return a page of posts with its cursors; None: an unknown cursor."""
        try:
            start = int(base64.urlsafe_b64decode(after).removeprefix(b"post-")) if after else 0
        except (binascii.Error, ValueError):
            return None
        names = fields.split(",")
        data = [self._media(post, names) for post in posts[start : start + limit]]
        cursors = {}
        if start + limit < len(posts):
            cursors["after"] = base64.urlsafe_b64encode(b"post-%d" % (start + limit)).decode()
        if start:
            cursors["before"] = base64.urlsafe_b64encode(b"post-%d" % start).decode()
        return {"data": data, **({"paging": {"cursors": cursors}} if cursors else {})}

    def _media(self, post: Post, names: list[str]) -> dict[str, Any]:
        everything = {
            "id": post.media_id,
            "caption": post.caption,
            "like_count": post.likes,
            "comments_count": post.comments,
            "media_type": post.kind,
            "media_url": str(self.base / "pictures" / post.picture),
            "permalink": f"https://www.instagram.example/p/{post.media_id}/",
            "timestamp": post.posted_at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        }
        return {name: everything[name] for name in names if everything.get(name) is not None}

    async def _admit(self, request: web.Request, key: str) -> FakeToken | web.StreamResponse:
        """Return the token of a valid request; else the error of a fault, of the token or of its budget."""
        if "access_token" in request.query:
            self.tokens_in_urls += 1
        header = request.headers.get("Authorization", "")
        secret = request.query.get("access_token") or header.removeprefix("Bearer ")
        token = self.office.tokens.get(secret)
        if not secret:
            return self._error(None, 401, 104, "An access token is required to request this resource.")
        if token is None:
            return self._error(None, 401, 190, f"Malformed access token {secret}")
        if token.expires_at <= self.office.now():
            return self._error(token, 401, 190, "Error validating access token: Session has expired", subcode=463)
        if not self.office.spend(token):
            return self._error(token, 403, self.rate_code, "There have been too many calls from this account.")
        if not token.permitted:
            return self._error(token, 403, 10, "Application does not have permission for this action")
        if self.faults.latency_s:
            await asyncio.sleep(self.faults.latency_s)
        fault = self.faults.strikes(key, self._asked[key])
        self._asked[key] += 1
        match fault:
            case "http_500":
                return self._error(token, 500, 2, "An unexpected error has occurred.", transient=True)
            case "http_429":
                response = self._error(token, 429, 613, "Calls to this api have exceeded the rate limit.")
                response.headers["Retry-After"] = str(self.faults.retry_after_s)
                return response
            case "html":
                return web.Response(text="<html>Sorry, something went wrong.", content_type="text/html")
            case "reset" if request.transport is not None:
                request.transport.abort()
                return web.Response()
            case "hang":
                await self._closing.wait()
        return token

    def _oddly(self, name: str, after: str | None) -> web.Response:
        status, body = self.odd[name](after)
        return web.Response(status=status, body=body, content_type="application/json")

    def _ok(self, token: FakeToken, body: dict[str, Any]) -> web.Response:
        return web.json_response(body, headers=self._usage(token))

    def _error(
        self,
        token: FakeToken | None,
        status: int,
        code: int,
        message: str,
        *,
        subcode: int = 0,
        title: str = "",
        transient: bool = False,
    ) -> web.Response:
        error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AFake"}
        if subcode:
            error["error_subcode"] = subcode
        if title:
            error["error_user_title"] = error["error_user_msg"] = title
        error["is_transient"] = transient
        return web.json_response({"error": error}, status=status, headers=self._usage(token) if token else None)

    def _usage(self, token: FakeToken) -> dict[str, str]:
        percent, minutes = self.office.usage_percent(token), self.office.minutes_to_regain(token)
        business = {"type": "instagram", "call_count": percent, "total_cputime": 1, "total_time": 1}
        business["estimated_time_to_regain_access"] = minutes
        return {
            "X-App-Usage": json.dumps({"call_count": percent, "total_time": 1, "total_cputime": 1}),
            "X-Business-Use-Case-Usage": json.dumps({token.ig_user_id: [business]}),
        }

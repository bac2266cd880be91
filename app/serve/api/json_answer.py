"""Answers in JSON."""

from __future__ import annotations

import orjson
from aiohttp import web

__all__ = ["json_response"]


def json_response(value: object) -> web.Response:
    """Return a JSON response. Naive times are UTC and get the suffix Z."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    return web.Response(body=orjson.dumps(value, option=options), content_type="application/json")

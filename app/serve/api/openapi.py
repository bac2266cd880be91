"""The description of the API, made of the schemas that requests are held against."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from photogenic.app.serve.api import schemas
from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits

__all__ = ["describe"]

_ALWAYS = ("unauthorized", "foreign_origin", "wrong_host", "unknown_expectation", "internal")


def describe(limits: Limits, *, token: bool) -> dict[str, Any]:
    """OpenAPI 3.1.

    Args:
        limits: of the server.
        token: whether requests need one.
    """
    takes, gives = schemas.requests(limits), schemas.responses()
    photo_id = {
        "name": "photo_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 1_024, "pattern": "^[A-Za-z0-9_-]+$"},
    }
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Photogenic",
            "version": version("photogenic"),
            "description": "Labels, vectors, neighbours and scores of photos, from the newest snapshot of a store.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "paths": {
            "/sql": {
                "post": _asks(
                    "Answer SQL, reading only",
                    _json(takes["sql"]),
                    gives["sql"],
                    ("query_refused", "time_limit", "memory_limit", "busy"),
                )
            },
            "/sql/export": {
                "get": _looks(
                    "All rows of a query, as a file",
                    _parameters(takes["export"]),
                    {
                        "text/csv": {"schema": {"type": "string"}},
                        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
                    },
                    ("bad_request", "query_refused", "time_limit", "memory_limit", "busy"),
                )
            },
            "/photos/{photo_id}": {
                "get": _looks(
                    "Everything about a photo", [photo_id], _body(gives["photo"]), ("bad_request", "not_found")
                )
            },
            "/features": {
                "post": _asks(
                    "Vectors and labels of many photos at once",
                    _json(takes["features"]),
                    gives["features"],
                    ("not_usable", "not_ready"),
                )
            },
            "/similar": {
                "post": _asks(
                    "The photos nearest to one of the store, or to a picture",
                    _json(takes["similar"]) | _form(takes["similar_form"]),
                    gives["similar"],
                    ("not_found", "query_refused", "not_usable", "time_limit", "memory_limit", "busy", "not_ready"),
                )
            },
            "/predict": {
                "post": _asks(
                    "What pictures are likely to earn",
                    _form(takes["predict_form"]),
                    gives["predict"],
                    ("not_found", "not_usable", "not_ready"),
                )
            },
            "/breakdown": {
                "get": _looks(
                    "Who likes whom",
                    _parameters(takes["breakdown"]),
                    _body(gives["breakdown"]),
                    ("bad_request", "not_ready"),
                )
            },
            "/runs": {"get": _looks("Every trained head", [], _body(gives["runs"]), ("bad_request",))},
            "/gallery": {
                "get": _looks(
                    "Photos in order",
                    _parameters(takes["gallery"]),
                    _body(gives["gallery"]),
                    ("bad_request", "not_found", "not_ready"),
                )
            },
            "/store": {
                "get": _looks("Counts, freshness, who writes", [], _body(gives["store"]), ("bad_request", "not_ready"))
            },
            "/health": {
                "get": _looks("Whether it answers, and from when", [], _body(gives["health"]), ("bad_request",))
            },
            "/metrics": {
                "get": _looks(
                    "Figures for Prometheus", [], {"text/plain": {"schema": {"type": "string"}}}, ("bad_request",)
                )
            },
        },
        "components": {"schemas": {"Error": schemas.ERROR}},
    }
    if token:
        described["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}  # type: ignore[index]
        described["security"] = [{"bearer": []}]
    return described


def _asks(summary: str, content: dict[str, Any], answer: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    codes = ("bad_request", "too_slow", "too_large", "unsupported_type", *codes)
    return _looks(summary, [], _body(answer), codes) | {"requestBody": {"required": True, "content": content}}


def _looks(
    summary: str, parameters: list[dict[str, Any]], content: dict[str, Any], codes: tuple[str, ...]
) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for code in (*codes, *_ALWAYS):
        status, meaning = CODES[code]
        told = answers.setdefault(
            str(status), {"description": "", "content": _body({"$ref": "#/components/schemas/Error"})}
        )
        told["description"] = f"{told['description']} {code}: {meaning}".strip()
    made = {"summary": summary, "operationId": summary.lower().replace(",", "").replace(" ", "_"), "responses": answers}
    return made | ({"parameters": parameters} if parameters else {})


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_json = _body


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"multipart/form-data": {"schema": schema}}


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": known}
        for name, known in schema["properties"].items()
    ]

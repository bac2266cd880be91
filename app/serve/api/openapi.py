"""OpenAPI description of the API, made from the schemas that validate requests."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from photogenic.app.serve.api import schemas
from photogenic.app.serve.api.arrow_body import ARROW
from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits

__all__ = ["describe"]

_ALWAYS = ("unauthorized", "foreign_origin", "wrong_host", "unknown_expectation", "internal")


_OF_A_SEARCH = ("query_refused", "not_usable", "time_limit", "memory_limit", "busy", "not_ready")
_ARROW = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
_OF_A_MOMENT = ("not_usable", "time_limit", "memory_limit", "busy")
"""Codes of requests that can ask for another moment."""


def describe(limits: Limits, *, token: bool) -> dict[str, Any]:
    """Return the description in OpenAPI 3.1.

    Args:
        limits: Limits of the server.
        token: Whether requests need a token.
    """
    request_schemas, response_schemas = schemas.requests(limits), schemas.responses()
    photo_id = {
        "name": "photo_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 1_024, "pattern": "^[A-Za-z0-9_-]+$"},
        "description": "The photo.",
    }
    relation = {
        "name": "relation",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9_.-]+$"},
        "description": "A relation, relation.column, base table facts.TABLE, encoder, or option of labels.",
    }
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Photogenic",
            "version": version("photogenic"),
            "description": "Labels, vectors, neighbors and scores of photos, from the newest snapshot of a store.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "paths": {
            "/sql": {
                "post": _post(
                    "Answer SQL, reading only",
                    _json(request_schemas["sql"]) | _form(request_schemas["sql_form"]),
                    response_schemas["sql"],
                    ("query_refused", "not_usable", "time_limit", "memory_limit", "busy"),
                    other_answers=_ARROW,
                )
            },
            "/sql/export": {
                "get": _get(
                    "All rows of a query, as a file",
                    _parameters(request_schemas["export"]),
                    {
                        "text/csv": {"schema": {"type": "string"}},
                        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
                    },
                    ("bad_request", "query_refused", "not_usable", "time_limit", "memory_limit", "busy"),
                )
            },
            "/photos/{photo_id}": {
                "get": _get(
                    "Everything about a photo",
                    [photo_id, *_parameters(request_schemas["moment"])],
                    _body(response_schemas["photo"]),
                    ("bad_request", "not_found", *_OF_A_MOMENT),
                )
            },
            "/features": {
                "post": _post(
                    "Vectors and labels of many photos at once",
                    _json(request_schemas["features"]),
                    response_schemas["features"],
                    ("not_usable", "not_ready"),
                )
            },
            "/similar": {
                "post": _post(
                    "The photos nearest to photos of the store, vectors or a picture",
                    _json(request_schemas["similar"]) | _form(request_schemas["similar_form"]),
                    response_schemas["similar"],
                    ("not_found", *_OF_A_SEARCH),
                    other_answers=_ARROW,
                )
            },
            "/similar/arrow": {
                "post": _post(
                    "The photos nearest to many vectors or photos, as Arrow",
                    {ARROW: {"schema": {"type": "string", "format": "binary"}}},
                    response_schemas["similar_many"],
                    _OF_A_SEARCH,
                    other_answers=_ARROW,
                    parameters=_parameters(request_schemas["similar_arrow"]),
                )
            },
            "/predict": {
                "post": _post(
                    "What pictures are likely to earn",
                    _form(request_schemas["predict_form"]),
                    response_schemas["predict"],
                    ("not_found", "not_usable", "not_ready"),
                )
            },
            "/breakdown": {
                "get": _get(
                    "Who likes whom",
                    _parameters(request_schemas["breakdown"]),
                    _body(response_schemas["breakdown"]),
                    ("bad_request", "not_ready", *_OF_A_MOMENT),
                )
            },
            "/runs": {"get": _get("Every trained head", [], _body(response_schemas["runs"]), ("bad_request",))},
            "/gallery": {
                "get": _get(
                    "Photos in order",
                    _parameters(request_schemas["gallery"]),
                    _body(response_schemas["gallery"]),
                    ("bad_request", "not_found", "not_ready", *_OF_A_MOMENT),
                )
            },
            "/lineage/{relation}": {
                "get": _get(
                    "Where a number comes from, and what depends on it",
                    [relation, *_parameters(request_schemas["lineage"])],
                    _body(response_schemas["lineage"]),
                    ("bad_request", "not_found", "not_ready"),
                )
            },
            "/store": {
                "get": _get(
                    "Counts, freshness, who writes", [], _body(response_schemas["store"]), ("bad_request", "not_ready")
                )
            },
            "/health": {
                "get": _get(
                    "Whether it answers, and from when", [], _body(response_schemas["health"]), ("bad_request",)
                )
            },
            "/metrics": {
                "get": _get(
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


def _post(
    summary: str,
    content: dict[str, Any],
    answer: dict[str, Any],
    codes: tuple[str, ...],
    *,
    other_answers: dict[str, Any] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    codes = ("bad_request", "too_slow", "too_large", "unsupported_type", *codes)
    answers = _body(answer) | (other_answers or {})
    return _get(summary, [*parameters], answers, codes) | {"requestBody": {"required": True, "content": content}}


def _get(
    summary: str, parameters: list[dict[str, Any]], content: dict[str, Any], codes: tuple[str, ...]
) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for code in (*codes, *_ALWAYS):
        status, meaning = CODES[code]
        entry = answers.setdefault(
            str(status), {"description": "", "content": _body({"$ref": "#/components/schemas/Error"})}
        )
        entry["description"] = f"{entry['description']} {code}: {meaning}".strip()
    operation = {
        "summary": summary,
        "operationId": summary.lower().replace(",", "").replace(" ", "_"),
        "responses": answers,
    }
    return operation | ({"parameters": parameters} if parameters else {})


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

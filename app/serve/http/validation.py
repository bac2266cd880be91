"""Validation of requests against the schemas of the OpenAPI description.

It supports the keywords of JSON Schema that the description uses: type, enum, minimum, maximum, minLength, maxLength,
minItems, maxItems, items, properties, required, additionalProperties, maxProperties.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from photogenic.app.serve.http.errors import ApiError

__all__ = ["from_json", "from_text", "non_empty_query"]

Schema = Mapping[str, Any]

_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def from_json(data: bytes, schema: Schema) -> dict[str, Any]:
    """Parse and check the body of a request, and fill in defaults.

    Raises:
        ApiError: The body is not JSON, or does not match the schema.
    """
    try:
        value = orjson.loads(data)
    except ValueError as error:
        raise ApiError(
            "bad_request", f"The body is not JSON: {error}", "send a JSON object, as /api describes"
        ) from error
    _check(value, schema, "the body")
    return _with_defaults(_parsed_exactly(data, value), schema)


def _parsed_exactly(data: bytes, value: dict[str, Any]) -> dict[str, Any]:
    """Refuse repeated names in an object, because parsers differ in which of the values they use.

    Returns: the object with integers of more than 64 bits, which orjson rounds.
    """
    if data.count(b":") == len(value):  # one colon per name: no name can be repeated, and no object is in another
        return value

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ApiError("bad_request", f"The name {name[:80]!r} is repeated in the body.", "send it once")
        return dict(pairs)

    exact: dict[str, Any] = json.loads(data, object_pairs_hook=once)
    return exact


def from_text(fields: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """Parse and check text values, such as the query of an address or the fields of a form, and fill in defaults.

    Only a value that is a list may be given several times.
    """
    value: dict[str, Any] = {}
    for name, text in fields.items():
        kind = schema["properties"].get(name, {}).get("type")
        if kind == "array":
            value.setdefault(name, []).append(text)
            continue
        if name in value:
            raise ApiError("bad_request", f"{name[:80]!r} is repeated in the request.", "send it once")
        value[name] = _parsed(text, kind)
    _check(value, schema, "the request")
    return _with_defaults(value, schema)


def _parsed(text: str, kind: object) -> Any:
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "integer":
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else text
    if kind == "number" and _NUMBER.fullmatch(text):
        return float(text)
    return text


def _with_defaults(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    return {name: value.get(name, known.get("default")) for name, known in schema["properties"].items()}


def _check(value: Any, schema: Schema, where: str) -> None:
    kind = schema["type"]
    kinds = [kind] if isinstance(kind, str) else kind
    if not any(_has_type(value, one) for one in kinds):
        raise _mismatch(where, f"of type {' or '.join(kinds)}")
    if "enum" in schema and value not in schema["enum"]:
        raise _mismatch(where, f"one of {', '.join(map(str, schema['enum']))}")
    if kind in ("integer", "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise _mismatch(where, f"from {schema.get('minimum', '-')} to {schema.get('maximum', '-')}")
    if isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise _mismatch(where, f"of {schema.get('minLength', 0)} to {schema.get('maxLength', '-')} characters")
    if isinstance(value, list) and "items" in schema:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            raise _mismatch(where, f"of {schema.get('minItems', 0)} to {schema.get('maxItems', '-')} items")
        if not (_all_texts(value, schema["items"]) or _all_numbers(value, schema["items"])):
            for at, item in enumerate(value):
                _check(item, schema["items"], f"{where}[{at}]")
    if kind == "object":
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        if len(value) > schema.get("maxProperties", len(value)):
            raise _mismatch(where, f"an object with at most {schema['maxProperties']} names")
        if missing := [name for name in schema.get("required", ()) if name not in value]:
            raise _mismatch(where, f"an object with {', '.join(missing)}")
        for name, item in value.items():
            if name in known:
                _check(item, known[name], name)
            elif isinstance(other, dict):
                _check(item, other, f"{where}.{name[:80]}")
            else:
                raise _mismatch(f"{where}.{name[:80]}", f"absent; known are {', '.join(known) or 'no fields'}")


def _all_texts(value: list[Any], schema: Schema) -> bool:
    """Return whether all values are strings that match the schema; a fast check for hundreds of ids."""
    if schema["type"] != "string" or "enum" in schema or set(map(type, value)) != {str}:
        return False
    lengths = list(map(len, value))
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    return bool(min(lengths) >= least and (most is None or max(lengths) <= most))


def _all_numbers(value: list[Any], schema: Schema) -> bool:
    """Return whether all values are numbers without bounds; a fast check for vectors."""
    return (
        schema["type"] == "number"
        and not {"minimum", "maximum"} & schema.keys()
        and {*map(type, value)} <= {int, float}
    )


def _has_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if value is None:
        return kind == "null"
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "array": list,
        "object": dict,
    }
    return kind in kinds and isinstance(value, kinds[kind])


def _mismatch(where: str, expected: str) -> ApiError:
    return ApiError("bad_request", f"{where} does not match its description. Expected: {expected}", "see /api")


def non_empty_query(request: web.Request) -> dict[str, str]:
    """Return the parameters of the address that are not empty. Forms send unset choices as empty values."""
    return {name: value for name, value in request.query.items() if value}

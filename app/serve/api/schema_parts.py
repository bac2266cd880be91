"""Parts of the JSON Schemas of the API."""

from __future__ import annotations

from typing import Any

__all__ = ["COUNT", "ID", "MOMENT", "NUMBER", "SAID", "TEXT", "Schema", "described", "list_of", "nullable", "object_of"]

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "string", "minLength": 1, "maxLength": 1_024}


def nullable(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def object_of(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False} | more


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def described(properties: dict[str, Schema], **meanings: str) -> dict[str, Schema]:
    """Return properties with a description each."""
    return {name: schema | {"description": meanings[name]} for name, schema in properties.items()}


MOMENT: dict[str, Schema] = described(
    {name: {"type": "string", "minLength": 1, "maxLength": 64} for name in ("as_of", "known_at")},
    as_of="Only what had happened before this instant, as ISO 8601 in UTC. Default: everything. Without as_of and "
    "known_at, the answer has the published relations.",
    known_at="Only what had arrived before this instant, as ISO 8601 in UTC. Default: everything.",
)
SAID = described(
    {"moment": TEXT, "notes": list_of(TEXT)},
    moment="The moment of the answer; absent without as_of and known_at.",
    notes="Why relations of the moment are empty.",
)

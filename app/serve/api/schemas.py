"""What requests and answers of the API look like, in JSON Schema: shown to people, and held against requests."""

from __future__ import annotations

from typing import Any

from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits
from photogenic.models.data.targets import TARGETS

__all__ = ["ERROR", "requests", "responses"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 1_024}


def _maybe(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _object(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False} | more


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


ERROR: Schema = _object({"code": {"type": "string", "enum": list(CODES)}, "message": _TEXT, "remedy": _TEXT})


def requests(limits: Limits) -> dict[str, Schema]:
    """By endpoint."""
    nearest = {
        "k": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 10},
        "encoder": {**_ID, "description": "In whose eyes; the first default encoder that has an index otherwise."},
        "where": {
            "type": "string",
            "minLength": 1,
            "maxLength": 10_000,
            "description": "Predicate in SQL over photo_labels, such as gender = 'female'.",
        },
        "popular": {"type": "boolean", "default": False, "description": "Only photos above the median."},
    }
    chosen = {
        "run": {**_ID, "description": "A run_id; the best run of the target on dev otherwise."},
        "target": {"type": "string", "enum": list(TARGETS), "default": "like_ratio"},
    }
    query = {"type": "string", "minLength": 1, "maxLength": 100_000, "description": "One statement that reads."}
    image = {"type": "string", "format": "binary"}
    return {
        "sql": _object(
            {
                "query": query,
                "limit": {"type": "integer", "minimum": 0, "maximum": limits.sql_rows, "default": 1_000},
                "sample": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": limits.sql_rows,
                    "description": "So many rows drawn at random from all, in place of the first ones.",
                },
            },
            "limit",
            "sample",
            example={"query": "from gender_breakdown", "limit": 100},
        ),
        "export": _object(
            {"query": query | {"maxLength": 20_000}, "format": {"type": "string", "enum": ["csv", "parquet"]}}
        ),
        "features": _object(
            {
                "photo_ids": {"type": "array", "items": _ID, "minItems": 1, "maxItems": 1_000},
                "encoder": {**_ID, "description": "Whose vectors; the default encoder's otherwise."},
                "vectors": {
                    "type": "string",
                    "enum": ["numbers", "base64"],
                    "default": "numbers",
                    "description": "As JSON numbers, or as base64 of little-endian float32: fewer bytes, less work.",
                },
            },
            "encoder",
            "vectors",
        ),
        "similar": _object({"photo_id": _ID, **nearest}, *nearest),
        "similar_upload": _object(nearest, *nearest),
        "similar_form": _object({"image": image, **nearest}, *nearest),
        "predict": _object(chosen, *chosen),
        "predict_form": _object(
            {"image": {"type": "array", "items": image, "minItems": 1, "maxItems": limits.uploads}, **chosen}, *chosen
        ),
        "breakdown": _object(
            {"window": {"type": "string", "enum": ["latest", "every"], "default": "latest"}}, "window"
        ),
        "gallery": _object(gallery := _gallery(), *gallery),
        "photo": _object({"photo_id": _ID}),
        "nothing": _object({}),
    }


def _gallery() -> dict[str, Schema]:
    return {
        "by": {"type": "string", "enum": ["like_ratio", "percentile", "prediction"], "default": "like_ratio"},
        "order": {"type": "string", "enum": ["desc", "asc"], "default": "desc"},
        "gender": {"type": "string", "enum": ["female", "male", "other", "unknown"]},
        "setup": {"type": "string", "enum": ["all", "one_face"], "default": "all"},
        "split": {"type": "string", "enum": ["train", "dev", "test"]},
        "popular": {"type": "boolean"},
        "population": {
            "type": "string",
            "enum": ["all", "gender"],
            "default": "all",
            "description": "With whom percentile and popular compare: everybody's photos, or those of one's gender.",
        },
        "least": {"type": "integer", "minimum": 0, "maximum": 10**9, "default": 0, "description": "Swipes, at least."},
        "run": {**_ID, "description": "Whose predictions; otherwise those of the run that answers for pictures."},
        "offset": {"type": "integer", "minimum": 0, "maximum": 10**9, "default": 0},
        "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 60},
    }


_LABEL = _object(
    {"source": _TEXT, "value": _NUMBER, "weight": _NUMBER, "popular": {"type": "boolean"}, "percentile": _NUMBER}
)
_FACE = _object(dict.fromkeys(("x0", "y0", "x1", "y1", "confidence"), _NUMBER))
_PHOTO: dict[str, Schema] = {
    "photo_id": _TEXT,
    "user_id": _TEXT,
    "gender": _maybe(_TEXT),
    "width": _maybe(_COUNT),
    "height": _maybe(_COUNT),
    "status": _maybe(_TEXT),
    "split_all": _maybe(_TEXT),
    "split_one_face": _maybe(_TEXT),
}
_SCORED = {name: _maybe(_NUMBER) for name in ("prediction", "low", "high")}
_ASKED = {name: _maybe(_TEXT) for name in ("run_id", "head", "encoder", "setup")}


def responses() -> dict[str, Schema]:
    """By endpoint."""
    found = {
        "rank": _COUNT,
        "photo_id": _TEXT,
        "user_id": _TEXT,
        "distance": _NUMBER,
        "like_ratio": _maybe(_NUMBER),
        "weight": _maybe(_NUMBER),
        "percentile": _maybe(_NUMBER),
        "popular": _maybe({"type": "boolean"}),
        "path": _maybe(_TEXT),
    }
    anything = {"type": "object"}
    return {
        "sql": _object(
            {
                "columns": _list(_object({"name": _TEXT, "type": _TEXT})),
                "n_rows": _COUNT,
                "cut": {"type": "boolean", "description": "There are more rows than these."},
                "seconds": _NUMBER,
                "rows": _list(_list({})),
            }
        ),
        "photo": _object(
            _PHOTO
            | {
                "label": _maybe(_LABEL),
                "like_ratios": _list(anything),
                "periods": _list(anything),
                "faces": _list(_FACE),
                "predictions": _list(anything),
                "near_duplicates": _list(anything),
            }
        ),
        "features": _object(
            {
                "encoder": _maybe(_TEXT),
                "dim": _maybe(_COUNT),
                "photos": _list(
                    _object(
                        {
                            "photo_id": _TEXT,
                            "status": {"type": "string", "enum": ["ok", "no_vector", "unknown_photo"]},
                            "embedding": {"type": ["array", "string", "null"], "items": _NUMBER},
                            "label": _maybe(_LABEL),
                        }
                    )
                ),
            }
        ),
        "similar": _object(
            {"encoder": _TEXT, "recall": _NUMBER, "n_matching": _COUNT, "photos": _list(_object(found))}
        ),
        "predict": _object(
            {
                "run_id": _TEXT,
                "target": _TEXT,
                "photos": _list(_object({"file": _TEXT, **_SCORED, **_ASKED, "status": _TEXT})),
                "notes": {**_list(_TEXT), "description": "Runs that cannot answer here, and what brings them back."},
            }
        ),
        "breakdown": _object({"window": _TEXT, "rows": _list(anything)}),
        "runs": _object({"runs": _list(anything)}),
        "gallery": _object({"n_photos": _COUNT, "photos": _list(anything)}),
        "health": _object({"status": _TEXT, "snapshot_at": _TEXT, "n_photos": _COUNT, "version": _TEXT}),
        "store": anything,
    }

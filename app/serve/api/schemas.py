"""JSON Schemas of the requests and answers of the API, for the description and for validation."""

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


def _nullable(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _object(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False} | more


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


ERROR: Schema = _object({"code": {"type": "string", "enum": list(CODES)}, "message": _TEXT, "remedy": _TEXT})


def requests(limits: Limits) -> dict[str, Schema]:
    """Return the schemas of requests by endpoint."""
    nearest = {
        "k": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 10},
        "encoder": {**_ID, "description": "Name of the encoder. Default: the first default encoder that has an index."},
        "where": {
            "type": "string",
            "minLength": 1,
            "maxLength": 10_000,
            "description": "SQL predicate over photo_labels, such as gender = 'female'.",
        },
        "popular": {"type": "boolean", "default": False, "description": "Return only photos above the median."},
    }
    chosen = {
        "run": {**_ID, "description": "A run_id. Default: the best run of the target on dev."},
        "target": {"type": "string", "enum": list(TARGETS), "default": "like_ratio"},
    }
    query = {"type": "string", "minLength": 1, "maxLength": 100_000, "description": "One statement that only reads."}
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
                    "description": "Number of rows to draw at random from all rows, instead of the first rows.",
                },
                "parameters": {
                    "type": "object",
                    "maxProperties": 100,
                    "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": 100_000},
                    "description": "Value of each parameter $name of the query, by name; ? are named 1, 2 and so on.",
                },
            },
            "limit",
            "sample",
            "parameters",
            example={
                "query": "from gender_breakdown where sender_gender = $gender",
                "limit": 100,
                "parameters": {"gender": "female"},
            },
        ),
        "export": _object(
            {"query": query | {"maxLength": 20_000}, "format": {"type": "string", "enum": ["csv", "parquet"]}}
        ),
        "features": _object(
            {
                "photo_ids": {"type": "array", "items": _ID, "minItems": 1, "maxItems": 1_000},
                "encoder": {**_ID, "description": "Name of the encoder. Default: the default encoder."},
                "vectors": {
                    "type": "string",
                    "enum": ["numbers", "base64"],
                    "default": "numbers",
                    "description": "JSON numbers, or base64 of little-endian float32, which is smaller and faster.",
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
            "description": "Photos that percentile and popular compare with: all photos, or photos of the same gender.",
        },
        "least": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10**9,
            "default": 0,
            "description": "Smallest number of swipes.",
        },
        "run": {**_ID, "description": "A run_id for predictions. Default: the run that scores pictures."},
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
    "gender": _nullable(_TEXT),
    "width": _nullable(_COUNT),
    "height": _nullable(_COUNT),
    "status": _nullable(_TEXT),
    "split_all": _nullable(_TEXT),
    "split_one_face": _nullable(_TEXT),
}
_SCORED = {name: _nullable(_NUMBER) for name in ("prediction", "low", "high")}
_ASKED = {name: _nullable(_TEXT) for name in ("run_id", "head", "encoder", "setup")}


def responses() -> dict[str, Schema]:
    """Return the schemas of answers by endpoint."""
    found = {
        "rank": _COUNT,
        "photo_id": _TEXT,
        "user_id": _TEXT,
        "distance": _NUMBER,
        "like_ratio": _nullable(_NUMBER),
        "weight": _nullable(_NUMBER),
        "percentile": _nullable(_NUMBER),
        "popular": _nullable({"type": "boolean"}),
        "path": _nullable(_TEXT),
    }
    anything = {"type": "object"}
    return {
        "sql": _object(
            {
                "columns": _list(_object({"name": _TEXT, "type": _TEXT})),
                "n_rows": _COUNT,
                "cut": {"type": "boolean", "description": "Whether there are more rows."},
                "seconds": _NUMBER,
                "rows": _list(_list({})),
            }
        ),
        "photo": _object(
            _PHOTO
            | {
                "label": _nullable(_LABEL),
                "like_ratios": _list(anything),
                "periods": _list(anything),
                "faces": _list(_FACE),
                "predictions": _list(anything),
                "near_duplicates": _list(anything),
            }
        ),
        "features": _object(
            {
                "encoder": _nullable(_TEXT),
                "dim": _nullable(_COUNT),
                "photos": _list(
                    _object(
                        {
                            "photo_id": _TEXT,
                            "status": {"type": "string", "enum": ["ok", "no_vector", "unknown_photo"]},
                            "embedding": {"type": ["array", "string", "null"], "items": _NUMBER},
                            "label": _nullable(_LABEL),
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
                "notes": {**_list(_TEXT), "description": "Runs that cannot be used, and how to make them usable."},
            }
        ),
        "breakdown": _object({"window": _TEXT, "rows": _list(anything)}),
        "runs": _object({"runs": _list(anything)}),
        "gallery": _object({"n_photos": _COUNT, "photos": _list(anything)}),
        "health": _object({"status": _TEXT, "snapshot_at": _TEXT, "n_photos": _COUNT, "version": _TEXT}),
        "store": anything,
    }

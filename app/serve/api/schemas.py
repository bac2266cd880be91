"""JSON Schemas of the requests and answers of the API, for the description and for validation."""

from __future__ import annotations

from typing import Any

from photogenic.app.serve.api import similar_schemas
from photogenic.app.serve.api.schema_parts import COUNT as _COUNT
from photogenic.app.serve.api.schema_parts import ID as _ID
from photogenic.app.serve.api.schema_parts import MOMENT, Schema
from photogenic.app.serve.api.schema_parts import NUMBER as _NUMBER
from photogenic.app.serve.api.schema_parts import SAID as _SAID
from photogenic.app.serve.api.schema_parts import TEXT as _TEXT
from photogenic.app.serve.api.schema_parts import described as _described
from photogenic.app.serve.api.schema_parts import list_of as _list
from photogenic.app.serve.api.schema_parts import nullable as _nullable
from photogenic.app.serve.api.schema_parts import object_of as _object
from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits
from photogenic.models.data.targets import TARGETS
from photogenic.warehouse.duckdb_store.parameters import LONGEST

__all__ = ["ERROR", "MOMENT", "requests", "responses"]

_BY_NAME = {
    "type": ["string", "object"],
    "maxLength": 64,
    "maxProperties": 12,
    "additionalProperties": {"type": "string", "maxLength": 64},
}

ERROR: Schema = _object({"code": {"type": "string", "enum": list(CODES)}, "message": _TEXT, "remedy": _TEXT})


def requests(limits: Limits) -> dict[str, Schema]:
    """Return the schemas of requests by endpoint."""
    chosen = {
        "run": {
            **_ID,
            "description": "The run_id of a run, its beginning, or the name of a run. Default: the promoted run of "
            "the target, else the best on dev.",
        },
        "target": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1_024,
            "default": "like_ratio",
            "description": f"What to predict: {', '.join(TARGETS)}, or relation.column of a head for a column.",
        },
    }
    gallery = _gallery()
    query = {"type": "string", "minLength": 1, "maxLength": 100_000, "description": "One statement that only reads."}
    image = {"type": "string", "format": "binary", "description": "A picture file."}
    upload = {
        "request": {
            "type": "string",
            "minLength": 1,
            "maxLength": 20_000,
            "description": "Body of a query in JSON; $upload in the query is the vector of the picture.",
        },
        "encoder": {**_ID, "description": "Encoder of the vector. Default: the default encoder."},
    }
    return {
        "sql": _object(
            {
                "query": query,
                "limit": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": limits.sql_rows,
                    "default": 1_000,
                    "description": "Largest number of rows to return.",
                },
                "sample": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": limits.sql_rows,
                    "description": "Number of rows to draw at random from all rows, instead of the first rows.",
                },
                "parameters": {
                    "type": "object",
                    "maxProperties": 100,
                    "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": LONGEST},
                    "description": "Value of each parameter $name of the query, by name; ? are named 1, 2 and so on.",
                },
                **_described(
                    dict.fromkeys(("as_of", "known_at"), _BY_NAME),
                    as_of='Only what had happened before this instant, or instants by name: {"jan": "2024-01-31"} is '
                    "for from jan.photo_labels.",
                    known_at="Only what had arrived before this instant, or instants by name.",
                ),
            },
            "limit",
            "sample",
            "parameters",
            *MOMENT,
            example={
                "query": "from gender_breakdown where sender_gender = $gender",
                "limit": 100,
                "parameters": {"gender": "female"},
            },
        ),
        "sql_upload": _object(upload, "encoder"),
        "sql_form": _object({"upload": image, **upload}, "encoder"),
        "export": _object(
            {
                "query": query | {"maxLength": 20_000},
                "format": {"type": "string", "enum": ["csv", "parquet"], "description": "Format of the file."},
                **MOMENT,
            },
            *MOMENT,
        ),
        "features": _object(
            {
                "photo_ids": {
                    "type": "array",
                    "items": _ID,
                    "minItems": 1,
                    "maxItems": 1_000,
                    "description": "The photos.",
                },
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
        **similar_schemas.requests(limits, image),
        "predict": _object(chosen, *chosen),
        "predict_form": _object(
            {
                "image": {
                    "type": "array",
                    "items": image,
                    "minItems": 1,
                    "maxItems": limits.uploads,
                    "description": "Picture files, one field each.",
                },
                **chosen,
            },
            *chosen,
        ),
        "breakdown": _object(
            {
                "window": {
                    "type": "string",
                    "enum": ["latest", "every"],
                    "default": "latest",
                    "description": "Swipes on the newest main photo, or on every main photo.",
                },
                **MOMENT,
            },
            "window",
            *MOMENT,
        ),
        "gallery": _object(gallery, *gallery),
        "photo": _object({"photo_id": _ID, **MOMENT}, *MOMENT),
        "moment": _object(MOMENT, *MOMENT),
        "lineage": _object(
            {
                "up": {"type": "boolean", "default": False, "description": "Return only what it is made from."},
                "down": {"type": "boolean", "default": False, "description": "Return only what is made from it."},
                "depth": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1_000,
                    "description": "Largest number of steps. Default: no limit.",
                },
            },
            "up",
            "down",
            "depth",
        ),
        "nothing": _object({}),
    }


def _gallery() -> dict[str, Schema]:
    def word(meaning: str, *words: str, **more: Any) -> Schema:
        return {"type": "string", "enum": list(words), **more, "description": meaning}

    return {
        "by": word("What photos are ordered by.", "like_ratio", "percentile", "prediction", default="like_ratio"),
        "order": word("Highest or lowest first.", "desc", "asc", default="desc"),
        "gender": word("Gender of the owner. Default: every gender.", "female", "male", "other", "unknown"),
        "setup": word("All photos, or photos with exactly one face.", "all", "one_face", default="all"),
        "split": word("Part of the setup. Default: every part.", "train", "dev", "test"),
        "popular": {"type": "boolean", "description": "Whether above the median. Default: both."},
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
        "offset": {"type": "integer", "minimum": 0, "maximum": 10**9, "default": 0, "description": "Photos to skip."},
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 500,
            "default": 60,
            "description": "Largest number of photos to return.",
        },
        **MOMENT,
    }


_LABEL = _object(
    _described(
        {"source": _TEXT, "value": _NUMBER, "weight": _NUMBER, "popular": {"type": "boolean"}, "percentile": _NUMBER},
        source="swipes or posts.",
        value="Likes per swipe, or for posts likes per follower.",
        weight="Number of swipes behind the value; 1 for posts.",
        popular="Whether the value is above the median of its label set.",
        percentile="Share of the other labels of the set that are lower, 0 to 100.",
    )
)
_FACE = _object(
    _described(
        dict.fromkeys(("x0", "y0", "x1", "y1", "confidence"), _NUMBER),
        x0="Left edge, in pixels of the upright photo.",
        y0="Upper edge.",
        x1="Right edge.",
        y1="Lower edge.",
        confidence="Confidence of the detector, 0 to 1.",
    )
)
_PHOTO: dict[str, Schema] = _described(
    {
        "photo_id": _TEXT,
        "user_id": _TEXT,
        "gender": _nullable(_TEXT),
        "width": _nullable(_COUNT),
        "height": _nullable(_COUNT),
        "status": _nullable(_TEXT),
        "split_all": _nullable(_TEXT),
        "split_one_face": _nullable(_TEXT),
    },
    photo_id="The photo.",
    user_id="Its owner.",
    gender="Gender of the owner; null: unknown.",
    width="Width in pixels, upright.",
    height="Height in pixels, upright.",
    status="Finding on the bytes, such as ok or missing; null: not read yet.",
    split_all="train, dev or test in the setup all; null: not part of it.",
    split_one_face="train, dev or test in the setup one_face; null: not part of it.",
)
_SCORED = _described(
    {name: _nullable(_NUMBER) for name in ("prediction", "low", "high")},
    prediction="Prediction, 0 to 1, or a number in the unit of the target; null unless the status is ok.",
    low="Lower bound of the observed value; null: the run has no bounds.",
    high="Upper bound of the observed value; null: the run has no bounds.",
)
_ASKED = _described(
    {name: _nullable(_TEXT) for name in ("run_id", "head", "encoder", "setup")},
    run_id="The run that predicted this picture.",
    head="Its head.",
    encoder="Its encoder.",
    setup="Its setup: all or one_face.",
)


def responses() -> dict[str, Schema]:
    """Return the schemas of answers by endpoint."""
    anything = {"type": "object"}

    def text(meaning: str) -> Schema:
        return _TEXT | {"description": meaning}

    def rows(meaning: str, items: Schema | None = None) -> Schema:
        return _list(items or anything) | {"description": meaning}

    return {
        "sql": _object(
            {
                "columns": rows("Columns of the result.", _object({"name": _TEXT, "type": text("Type in DuckDB.")})),
                "n_rows": _COUNT | {"description": "Number of rows in this answer."},
                "cut": {"type": "boolean", "description": "Whether there are more rows."},
                "seconds": _NUMBER | {"description": "Seconds that the query took."},
                "rows": rows("Rows, each an array of values in the order of the columns.", _list({})),
                "plan": rows("How each NEAREST join is answered; absent without one.", _TEXT),
                **_SAID,
            },
            "plan",
            *_SAID,
        ),
        "photo": _object(
            _PHOTO
            | {
                "label": _nullable(_LABEL) | {"description": "What a model learns; null: the photo has no label."},
                "like_ratios": rows("Rows of like_ratios, one per window."),
                "periods": rows("Times at which it was the main photo."),
                "faces": rows("Faces found in it.", _FACE),
                "predictions": rows("Predictions of trained heads."),
                "near_duplicates": rows("Photos that show the same picture."),
            }
            | _SAID,
            *_SAID,
        ),
        "features": _object(
            {
                "encoder": _nullable(_TEXT) | {"description": "The encoder of the vectors; null: there are none."},
                "dim": _nullable(_COUNT) | {"description": "Length of a vector; null: there are none."},
                "photos": rows(
                    "One object per photo, in the order of the request.",
                    _object(
                        {
                            "photo_id": _TEXT,
                            "status": {
                                "type": "string",
                                "enum": ["ok", "no_vector", "unknown_photo"],
                                "description": "Whether there is a vector.",
                            },
                            "embedding": {
                                "type": ["array", "string", "null"],
                                "items": _NUMBER,
                                "description": "Vector as numbers or as base64; null unless the status is ok.",
                            },
                            "label": _nullable(_LABEL) | {"description": "What a model learns; null: no label."},
                        }
                    ),
                ),
            }
        ),
        "similar": similar_schemas.response(),
        "similar_many": similar_schemas.response(only_many=True),
        "predict": _object(
            {
                "run_id": text("The run that was chosen."),
                "target": text("What it predicts."),
                "photos": rows(
                    "One object per picture, in the order of the request.",
                    _object(
                        {
                            "file": text("Name of the picture in the form."),
                            **_SCORED,
                            **_ASKED,
                            "status": text("ok, or the reason why there is no prediction."),
                        }
                    ),
                ),
                "notes": rows(
                    "Runs that cannot be used, with a remedy; inputs of a run that a picture does not have.",
                    _TEXT,
                ),
            }
        ),
        "breakdown": _object(
            {"window": text("The window."), "rows": rows("Rows of gender_breakdown."), **_SAID}, *_SAID
        ),
        "runs": _object({"runs": rows("Rows of runs.")}),
        "gallery": _object(
            {
                "n_photos": _COUNT | {"description": "Number of photos that match."},
                "photos": rows("Photos in the chosen order."),
                **_SAID,
            },
            *_SAID,
        ),
        "health": _object(
            {
                "status": text("ok."),
                "snapshot_at": text("Time of the snapshot that answers."),
                "n_photos": _COUNT | {"description": "Number of photos in it."},
                "version": text("Version of the program."),
            }
        ),
        "lineage": _object(
            {
                "root": text("Id of the node that was asked for."),
                "nodes": rows(
                    "That node, what it is made from, and what is made from it, the nearest first.",
                    _object(
                        {
                            "direction": {"type": "string", "enum": ["root", "up", "down"], "description": "Its side."},
                            "depth": _COUNT | {"description": "Number of steps from the root."},
                            "id": text("KIND:NAME."),
                            "kind": text("relation, column, table, files, file, option, vectors, runs and so on."),
                            "name": text("Its name."),
                            "n": _nullable(_COUNT) | {"description": "Its rows, files, vectors or runs; null: none."},
                            "detail": text("What it is."),
                            "code": text("File or function that makes it; empty: none does."),
                            "digest": text("Digest of that code, or of weights; empty: none."),
                        }
                    ),
                ),
                "edges": rows(
                    "Direct steps.",
                    _object({"source": text("Id of the input."), "target": text("Id of what is made from it.")}),
                ),
                "columns": rows(
                    "Columns of the relation; none for anything else.",
                    _object(
                        {
                            "name": text("Its name."),
                            "type": text("Its type."),
                            "comment": text("What it holds."),
                            "columns": rows("What it is made from directly, as relation.column.", _TEXT),
                            "rows": rows("Relations whose rows it counts or numbers.", _TEXT),
                            "parameters": rows("Options in its expression.", _TEXT),
                        }
                    ),
                ),
            }
        ),
        "store": anything,
    }

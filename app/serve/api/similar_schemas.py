"""JSON Schemas of searches for similar photos. The options, their words and ranges are those of `SearchOptions`."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

from photogenic.app.serve.api.schema_parts import (
    COUNT,
    ID,
    MOMENT,
    NUMBER,
    SAID,
    TEXT,
    Schema,
    described,
    list_of,
    nullable,
    object_of,
)
from photogenic.app.serve.http.limits import Limits
from photogenic.features.search.options import SearchOptions
from photogenic.features.similar_many.queries import PROBLEMS
from photogenic.features.text.texts import LONGEST
from photogenic.warehouse.option_help import OptionField, option_fields
from photogenic.warehouse.option_ranges import RANGES

__all__ = ["MOST", "SEVERAL", "as_field", "requests", "response"]

MOST = 1_000
"""Largest k of a request."""

SEVERAL = 32
"""Photos that may be one query together, and photos to be unlike."""

_LONGEST = {"where": 10_000}
_KINDS: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_OPTION = re.compile(r"(?<!\S)--?([a-z][a-z-]*)")
_WAYS: tuple[Schema, ...] = (
    *({"required": [name]} for name in ("photo_id", "photo_ids", "vectors")),
    {"required": ["text"], "not": {"required": ["photo_id"]}},
)


def _options() -> dict[str, Schema]:
    """The fields of `SearchOptions` as properties, and the moment."""
    return {field.name: _option(field) for field in option_fields(SearchOptions)} | {"unlike": _UNLIKE} | MOMENT


def as_field(text: str) -> str:
    """Return a text about options with the names of fields: popular_within for --popular-within, k for -k."""
    return _OPTION.sub(lambda option: option[1].replace("-", "_"), text)


def _option(field: OptionField) -> Schema:
    kinds = [kind for kind in (field.kind, *get_args(field.kind)) if kind is not type(None)]
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    kind = "string" if words else next(_KINDS[kind] for kind in kinds if kind in _KINDS)
    schema: Schema = {"type": kind, "description": as_field(field.help.text)}
    if words:
        schema["enum"] = words
    elif kind == "string":
        schema |= {"minLength": 1, "maxLength": _LONGEST.get(field.name, 1_024)}
    elif kind != "boolean":
        known = RANGES[field.name]
        schema |= {"minimum": known.least, "maximum": MOST if kind == "integer" else known.most}
    return schema if field.default is None else schema | {"default": field.default}


_UNLIKE: Schema = {
    "type": "array",
    "items": ID,
    "maxItems": SEVERAL,
    "description": "Photos that the results should be unlike.",
}


def requests(limits: Limits, image: Schema) -> dict[str, Schema]:
    """Return the schemas of requests by name.

    Args:
        limits: limits of the server.
        image: schema of a picture file.
    """
    options = _options()
    several: Schema = {"type": "array", "items": ID, "maxItems": SEVERAL}
    many: dict[str, Schema] = {
        "photo_ids": {
            "type": "array",
            "items": ID,
            "minItems": 1,
            "maxItems": limits.similar_queries,
            "description": "Photos, each a query of its own.",
        },
        "vectors": {
            "type": "array",
            "items": {"type": "array", "items": NUMBER},
            "minItems": 1,
            "maxItems": limits.similar_queries,
            "description": "Vectors of the encoder, each a query of its own. As Arrow, more fit: /similar/arrow.",
        },
    }
    one = {
        "photo_id": {
            **ID,
            "type": ["string", "array"],
            "items": ID,
            "minItems": 1,
            "maxItems": SEVERAL,
            "description": "Photo to compare with. Several are one query: their mean.",
        },
        "text": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST,
            "description": "Words that describe a photo, for an encoder with a text tower. Default encoder: the first "
            "that has one. With photo_id, both are one query.",
        },
    }
    strict: dict[str, Schema] = {
        "strict": {
            "type": "boolean",
            "default": False,
            "description": "Whether one of many queries that has a problem ends the search with an error.",
        }
    }
    pictures = {
        "image": {**image, "description": "A picture file."},
        "photo_id": several | {"description": "Photos of the store that are one query with the picture: their mean."},
    }
    return {
        "similar": object_of(
            {**one, **many, **options, **strict}, *one, *many, *options, *strict, oneOf=[dict(way) for way in _WAYS]
        ),
        "similar_upload": object_of({"photo_id": pictures["photo_id"], **options}, "photo_id", *options),
        "similar_form": object_of({**pictures, **options}, "photo_id", *options),
        "similar_arrow": object_of({**options, **strict}, *options, *strict),
        "similar_page": object_of({"photo_id": several, **options}, "photo_id", *options),
    }


def response(*, only_many: bool = False) -> Schema:
    """Return the schema of an answer: `photos` of one query, or `queries` of many.

    Args:
        only_many: whether it is always about many.
    """
    found = described(
        {
            "rank": COUNT,
            "photo_id": TEXT,
            "user_id": TEXT,
            "distance": NUMBER,
            "score": NUMBER,
            "like_ratio": nullable(NUMBER),
            "weight": nullable(NUMBER),
            "percentile": nullable(NUMBER),
            "popular": nullable({"type": "boolean"}),
            "path": nullable(TEXT),
        },
        rank="Place, from 1.",
        photo_id="The photo.",
        user_id="Its owner.",
        distance="Distance of the vectors, in the metric of the encoder.",
        score="What the order is by; absent where it is the distance.",
        like_ratio="Value of the label; null: no label.",
        weight="Number of swipes behind the label; 1 for posts.",
        percentile="Share of the other labels of the set that are lower, 0 to 100.",
        popular="Whether the label is above the median of its population.",
        path="Path of the picture as given.",
    )
    photos: dict[str, Any] = list_of(object_of(found, "score")) | {"description": "Nearest photos, the first is best."}
    query = {
        "query": TEXT | {"description": "The photo id, or the number of the vector, from 1."},
        "problem": nullable(TEXT)
        | {"enum": [None, *PROBLEMS], "description": "Why there are no results; null: there are."},
        "detail": nullable(TEXT) | {"description": "More about the problem."},
        "n_photos": COUNT | {"description": "Number of results."},
        "photos": photos,
    }
    many: dict[str, Schema] = described(
        {
            "n_queries": COUNT,
            "n_answered": COUNT,
            "problems": {"type": "object", "additionalProperties": COUNT},
            "queries": list_of(object_of(query)),
        },
        n_queries="Number of queries: n_answered and those with a problem.",
        n_answered="Number of queries with results.",
        problems="Number of queries with each problem.",
        queries="One object per query of photo_ids or vectors, in their order.",
    )
    properties = described(
        {
            "encoder": TEXT,
            "generation": TEXT,
            "plan": TEXT,
            "recall": NUMBER,
            "n_matching": COUNT,
            "population": TEXT,
        },
        encoder="The encoder whose vectors were compared.",
        generation="Generation of the index that answered.",
        plan="How the search was made, and why: exact, ivf or selector.",
        recall="1 where search was exact, else the measured recall@10.",
        n_matching="Number of photos that match the options.",
        population="A popular photo is above the median of these labels.",
    )
    if only_many:
        return object_of({**properties, **many, **SAID}, *SAID)
    one = {"photos": photos, "remarks": list_of(TEXT) | {"description": "What a reader of the results should know."}}
    return object_of({**properties, **one, **many, **SAID}, *one, *many, *SAID)

"""docs/reference/http.md, from the OpenAPI description of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docs._tools.markdown import NOTE, code, console, sentence, table
from photogenic.app.serve.api.openapi import describe
from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits

FRONT = "---\ntest: {store: demo, files: swipes, serve: true}\n---"
HOST = "http://127.0.0.1:8000/api/v1"
PRETTY = " | python -m json.tool"

EXAMPLES = {
    "/sql": f"""curl -s {HOST}/sql \\
    --json '{{"query": "select photo_id, n_swipes from like_ratios order by all", "limit": 2}}'""",
    "/sql/export": f"curl -s -G {HOST}/sql/export -d format=csv \\\n"
    '    -d query="from+gender_breakdown+order+by+all" | head -3',
    "/photos/{photo_id}": f"curl -s {HOST}/photos/p000017{PRETTY}",
    "/features": f"""curl -s {HOST}/features \\
    --json '{{"photo_ids": ["p000017"], "encoder": "dlib_face", "vectors": "base64"}}'{PRETTY}""",
    "/similar": f"""curl -s {HOST}/similar --json '{{"photo_id": "p000017", "k": 2}}'{PRETTY}""",
    "/similar/arrow": """python -c 'import sys, pyarrow as pa
table = pa.table({"photo_id": ["p000017", "nobody"]})
with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as out: out.write_table(table)' | \\
    curl -s -H 'Content-Type: application/vnd.apache.arrow.stream' --data-binary @- """
    f"'{HOST}/similar/arrow?k=1'{PRETTY}",
    "/predict": f"curl -s {HOST}/predict -F image=@portrait.jpg{PRETTY}",
    "/breakdown": f"curl -s '{HOST}/breakdown?window=every'{PRETTY} | head -20",
    "/runs": f"curl -s {HOST}/runs{PRETTY} | head -20",
    "/gallery": f"curl -s '{HOST}/gallery?gender=female&limit=1'{PRETTY}",
    "/lineage/{relation}": f"curl -s '{HOST}/lineage/recipient_counts.n_likes?up=true&depth=1'{PRETTY}",
    "/store": f"curl -s {HOST}/store{PRETTY} | head -4",
    "/health": f"curl -s {HOST}/health",
    "/metrics": f"curl -s {HOST}/metrics | head -6",
}
"""One call of each address. A test holds the keys to the addresses of the API."""

INTRODUCTION = """\
# HTTP

`features serve` answers programs under `/api/v1`. Every answer comes from the newest snapshot of the store, and nothing
can be changed through the API. A running server describes itself at `/api/openapi.json`, and `/api` is a page on which
you can try each address. [Serve pages and API](../guides/serving.md) says how to run it.

- Times are UTC, as ISO 8601 with `Z`. NULL is `null`.
- If the server has a token, each request needs the header `Authorization: Bearer TOKEN`.
- A form (`multipart/form-data`) carries pictures, JSON (`application/json`) everything else."""


def page(former: str) -> str:
    """Return the page. Outputs of its examples are taken from its former text."""
    described = describe(Limits(), token=False)
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    if EXAMPLES.keys() != described["paths"].keys():
        raise ValueError(f"docs/_tools/http_api.py: examples differ: {EXAMPLES.keys() ^ described['paths'].keys()}")
    always = set.intersection(*(_codes(operation) for _, _, operation in operations))
    overview = (
        (f"[`{method.upper()} /api/v1{path}`](#{_anchor(method, path)})", sentence(operation["summary"]))
        for path, method, operation in operations
    )
    parts = [
        f"{FRONT}\n{NOTE}",
        INTRODUCTION,
        "## All addresses",
        table(("address", "answers"), overview),
        "## Errors of every address",
        'An error is `{"code": ..., "message": ..., "remedy": ...}` with the status of its code. These can come from '
        "every address; further ones stand at each address. All codes are on the page "
        "[Errors](errors.md#codes-of-the-api).",
        _errors(always),
        "## Limits of a request",
        table(("limit", "value", "meaning"), _limits()),
    ]
    for path, method, operation in operations:
        parts += _operation(path, method, operation, always, former)
    return "\n\n".join(parts) + "\n"


def _operation(path: str, method: str, operation: dict[str, Any], always: set[str], former: str) -> Iterator[str]:
    yield f"## {method.upper()} /api/v1{path}"
    yield sentence(operation["summary"])
    if parameters := operation.get("parameters"):
        yield "**Parameters**"
        yield table(
            ("parameter", "in", "type", "default", "meaning"),
            (
                (
                    code(one["name"]) + (" (required)" if one.get("required") else ""),
                    "path" if one["in"] == "path" else "query",
                    _type(one["schema"]),
                    _default(one["schema"]),
                    one.get("description", one["schema"].get("description", "")),
                )
                for one in parameters
            ),
        )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        if schema.get("properties"):
            yield f"**Body**, `{kind}`"
            yield _fields(schema, with_default=True)
        else:
            yield f"**Body**, `{kind}`{': ' + schema['description'] if 'description' in schema else ''}"
    for kind, content in operation["responses"]["200"]["content"].items():
        schema = content["schema"]
        if schema.get("properties"):
            yield f"**Answer**, `{kind}`"
            yield _fields(schema, with_default=False)
        else:
            what = " one object, whose fields the example shows" if schema["type"] == "object" else ""
            yield f"**Answer**, `{kind}`{':' + what if what else ''}."
    if further := _codes(operation) - always:
        yield "**Errors**"
        yield _errors(further)
    yield "**Example**"
    yield console(EXAMPLES[path], former)


def _fields(schema: dict[str, Any], *, with_default: bool) -> str:
    head = ("field", "type", *(("default",) if with_default else ()), "meaning")
    rows = []
    for name, one, required in _flat(schema, "", with_default):
        mark = " (required)" if required and with_default else ""
        default = (_default(one),) if with_default else ()
        rows.append((code(name) + mark, _type(one), *default, one.get("description", "")))
    return table(head, rows)


def _flat(schema: dict[str, Any], prefix: str, nested: bool) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield name, schema and whether it is required of each field; fields within fields as `photos[].rank`."""
    for name, one in schema.get("properties", {}).items():
        yield f"{prefix}{name}", one, name in schema.get("required", ())
        items = one.get("items", {})
        if items.get("properties"):
            yield from _flat(items, f"{prefix}{name}[].", nested)
        elif one.get("properties"):
            yield from _flat(one, f"{prefix}{name}.", nested)


def _type(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", "any value")
    kinds = list(kinds) if isinstance(kinds, list) else [kinds]
    words = ["null" if kind == "null" else kind for kind in kinds]
    if "array" in words and "type" in schema.get("items", {}):
        inner = schema["items"]["type"]
        words[words.index("array")] = f"array of {inner if isinstance(inner, str) else ' or '.join(inner)}"
    text = " or ".join(words)
    if schema.get("format") == "binary" or schema.get("items", {}).get("format") == "binary":
        text = text.replace("string", "file")
    if "enum" in schema:
        text = ", ".join(code("null" if word is None else word) for word in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None:
        text += f", {low:,} to {high:,}"
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    if high is not None:
        text += f", {low:,} to {high:,} of them"
    if schema.get("maxLength", 1_024) > 1_024:
        text += f", up to {schema['maxLength']:,} characters"
    return text


def _default(schema: dict[str, Any]) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    return code(str(value).lower() if isinstance(value, bool) else value)


def _codes(operation: dict[str, Any]) -> set[str]:
    """Return the codes of the errors of an operation."""
    return {
        name
        for status, answer in operation["responses"].items()
        if status != "200"
        for name, (number, meaning) in CODES.items()
        if str(number) == status and f"{name}: {meaning}" in answer["description"]
    }


def _errors(names: set[str]) -> str:
    rows = ((str(CODES[name][0]), code(name), CODES[name][1]) for name in CODES if name in names)
    return table(("status", "code", "meaning"), sorted(rows))


def _limits() -> Iterator[tuple[str, str, str]]:
    limits = Limits()
    documented = (Limits.__doc__ or "").partition("Attributes:")[2]
    for line in filter(None, map(str.strip, documented.splitlines())):
        name, _, meaning = line.partition(": ")
        value = getattr(limits, name)
        yield code(name), f"{value:,.0f}" if isinstance(value, (int, float)) and value >= 10 else str(value), meaning


def _anchor(method: str, path: str) -> str:
    """Return the anchor that code hosts and the site make of the heading."""
    return f"{method}-{re.sub(r'[^a-z0-9_-]', '', f'/api/v1{path}')}"

"""Answers of a store to all readers: every relation, vectors, search, predictions, and the server.

Called in forks (`Zygote.run(call="tests.faults.readers:answers")`). A result is an answer, our error, or a
crash. After a fault a reader may refuse, but must not give another answer or crash.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from photogenic.warehouse import PhotogenicError

NOT_COMPARED = {"builds", "checksums", "clock", "commands", "user_versions"}
WHEN = {"ingested_at", "built_at", "duration_s", "p50_ms", "tried_at"}
"""Columns with times and durations, which differ between equal stores."""

VECTORS = "select count(*), bit_xor(hash(t)) from vectors_mean_colour as t"


def answers(root: str) -> dict[str, Any]:
    """Return the answers by reader."""
    with FeatureStore(root) as store:
        pictures = sorted(Path(root, "..", "world", "images").resolve().glob("*.jpg"))[:2]
        readers: dict[str, Callable[[], Any]] = {
            "sql": lambda: _relations(store),
            "vectors": lambda: _digest(*store.embeddings("mean_colour")),
            "vectors in SQL": lambda: str(store.sql(VECTORS).row(0)),
            "similar": lambda: _similar(store),
            "predict": lambda: _predictions(store, pictures),
            "status": lambda: store.status()["photos"],
        }
        said = json.dumps({name: _asked(reader) for name, reader in readers.items()})
        return dict(json.loads(said.replace(root, "STORE")))


def served_answers(root: str) -> dict[str, Any]:
    """Return the answers of the API; an error is its status and code."""
    from tests.app.serve.live_server import live_server

    def ask(server: Any, method: str, path: str, body: Any = None) -> Any:
        told = server.ask(method, path) if body is None else server.post(path, body)
        answer = told.json
        if told.status < 400:
            answer.pop("seconds", None)
            return {"said": answer}
        assert told.status != 500, answer
        return {"refused": [answer["message"], answer["code"], answer["remedy"]]}

    try:
        with FeatureStore(root) as store:
            first = store.sql("select photo_id from photos order by photo_id limit 1").item()
        with live_server(Path(root)) as server:
            features = {"photo_ids": [first], "encoder": "mean_colour"}
            return {
                "sql": ask(server, "POST", "/api/v1/sql", {"query": "select * from photo_labels order by all"}),
                "similar": ask(
                    server, "POST", "/api/v1/similar", {"photo_id": first, "k": 5, "encoder": "mean_colour"}
                ),
                "features": ask(server, "POST", "/api/v1/features", features),
                "photo": ask(server, "GET", f"/api/v1/photos/{first}"),
            }
    except PhotogenicError as error:
        return {"server": {"refused": [error.what, error.expected, error.remedy]}}
    except Exception:
        return {"server": {"crashed": traceback.format_exc()}}


def doctor(root: str, *options: str) -> dict[str, list[str]]:
    """Return check -> state, finding, remedy."""
    with FeatureStore(root) as store:
        found = store.doctor(thorough="thorough" in options, fix="fix" in options)
    return {one.check: [one.state, one.found, one.remedy] for one in found}


def answers_and_doctor(root: str) -> list[dict[str, Any]]:
    """Return the answers and the findings of a thorough check."""
    return [answers(root), doctor(root, "thorough")]


def _asked(reader: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"said": reader()}
    except PhotogenicError as error:
        return {"refused": [error.what, error.expected, error.remedy]}
    except Exception:
        return {"crashed": traceback.format_exc()}


def _relations(store: FeatureStore) -> dict[str, str]:
    """Return a digest of each relation but those of vectors, without the columns of times and durations."""
    columns: dict[str, list[str]] = {}
    there = store.sql(
        "select table_name, column_name from information_schema.columns where table_schema = 'main' order by all"
    )
    for table, column in there.rows():
        if column not in WHEN and (table, column) != ("runs", "created_at"):
            columns.setdefault(table, []).append(f'"{column}"')
    return {
        name: str(
            store.sql(f"select count(*), bit_xor(hash(t)) from (select {', '.join(kept)} from {name}) as t").row(0)
        )
        for name, kept in columns.items()
        if name not in NOT_COMPARED and not name.startswith("vectors_")
    }


def _similar(store: FeatureStore) -> list[list[tuple[Any, ...]]]:
    ids = store.sql("select photo_id from photos order by photo_id")["photo_id"].to_list()
    held = [one for one in ids if one in set(store.embeddings("mean_colour")[0])]
    return [
        [(row[0], row[1], round(row[2], 5)) for row in near.select("photo_id", "user_id", "distance").rows()]
        for near in (store.similar(one, k=4, encoder="mean_colour") for one in held[:6])
    ]


def _predictions(store: FeatureStore, pictures: list[Path]) -> list[Any]:
    from photogenic.models.predict import predict

    return [[p.prediction and round(p.prediction, 5), p.low and round(p.low, 5)] for p in predict(store, pictures)]


def _digest(ids: list[str], X: Any) -> str:
    return hashlib.sha256("".join(ids).encode() + X.tobytes()).hexdigest()


def rows(root: str, query: str) -> list[list[Any]]:
    """Return the answer of a query."""
    with FeatureStore(root) as store:
        return [list(map(str, row)) for row in store.sql(query).rows()]

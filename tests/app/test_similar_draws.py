"""Random searches by every door give the rows of a brute force over all photos, and all doors give the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.warehouse import InputError
from tests.app.serve.live_server import LiveServer, live_server
from tests.features.search.drawn_store import ENCODERS, make_store, photos_of
from tests.features.search.oracle import PREDICATES, Asked, Photos, drawn, mistake
from tests.features.toy import SETTINGS

FEW, MANY = 25, 1000
FEW_DOORS, MANY_DOORS = 6, 60
"""Draws that also go by the command line and the HTTP API, which take longer."""

COLUMNS = ["rank", "photo_id", "user_id", "distance", "like_ratio", "weight", "percentile", "popular", "path"]

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Doors:
    store: FeatureStore
    photos: Mapping[str, Photos]
    server: LiveServer

    def python(self, asked: Asked) -> Rows:
        found = self.store.similar(_query(asked), unlike=list(asked.unlike), encoder=asked.encoder, **asked.options)
        is_scored = bool(asked.options.get("popularity") or asked.options.get("diverse"))
        assert found.columns == [*COLUMNS, *(["score"] if is_scored else [])]
        return found.to_dicts()

    def sql(self, asked: Asked) -> Rows:
        """The query and the predicate are parameters, the options are written out."""
        options = {"encoder": asked.encoder} | asked.options
        where = {"where": options.pop("where")} if "where" in options else {}
        written = [f"{name} := {_literal(value)}" for name, value in options.items() if value is not None]
        written += ["filter := $where"] * bool(where)
        if asked.unlike:
            written.append(f"unlike := {list(asked.unlike)}")
        query = "$query" if len(asked.photos) == 1 else _literal(_query(asked))
        given = {"query": asked.photos[0]} if len(asked.photos) == 1 else {}
        return self.store.sql(f"from similar({query}, {', '.join(written)})", given | where).to_dicts()

    def lateral(self, asked: Asked) -> Rows:
        """The query is a column, and its photos are joined."""
        options = {"encoder": asked.encoder} | asked.options
        where = options.pop("where", None)
        written = [f"{name} := {_literal(value)}" for name, value in options.items() if value is not None]
        written += [f"filter := {_literal(where)}"] * (where is not None)
        query = _literal(asked.photos[0])
        return self.store.sql(
            f"select found.* from photos, similar(photos.photo_id, {', '.join(written)}) as found"
            f" where photos.photo_id = {query} order by found.rank"
        ).to_dicts()

    def cli(self, asked: Asked) -> Rows:
        words = [*asked.photos, *(word for one in asked.unlike for word in ("--unlike", one))]
        for name, value in ({"encoder": asked.encoder} | asked.options).items():
            option = "-k" if name == "k" else f"--{name.replace('_', '-')}"
            words += [] if value is None else [option] if value is True else [option, str(value)]
        root = str(self.store.layout.root)
        ended = CliRunner().invoke(program, ["similar", *words, "--store", root, "--format", "json"])
        assert ended.exit_code == 0, ended.exception
        return list(json.loads(ended.stdout))

    def api(self, asked: Asked) -> Rows:
        options = {name: value for name, value in asked.options.items() if value is not None}
        options |= {"encoder": asked.encoder, "unlike": list(asked.unlike)}
        if asked.vector is None:
            told = self.server.post("/api/v1/similar", {"photo_id": _query(asked), **options})
            assert told.status == 200, told.body
            return list(told.json["photos"])
        told = self.server.post("/api/v1/similar", {"vectors": [asked.vector.tolist()], **options})
        assert told.status == 200, told.body
        return list(told.json["queries"][0]["photos"])


def _query(asked: Asked) -> Any:
    if asked.vector is not None:
        return asked.vector.astype("f4")
    return asked.photos[0] if len(asked.photos) == 1 else list(asked.photos)


def _literal(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"{value.tolist()}::float[{len(value)}]" if isinstance(value, np.ndarray) else str(value)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    db = make_store(tmp_path_factory.mktemp("draws"))
    photos = {encoder: photos_of(db, encoder) for encoder in ENCODERS}
    with FeatureStore(db.layout.root, settings=SETTINGS) as store, live_server(db.layout.root) as server:
        yield Doors(store, photos, server)


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.thorough)])
def test_python_and_sql_equal_a_brute_force(doors: Doors, n: int) -> None:
    for seed in range(n):
        asked = drawn(random.Random(seed), doors.photos)
        found = doors.python(asked)
        assert mistake(doors.photos[asked.encoder], asked, found) is None, (seed, asked)
        assert _shown(doors.sql(asked)) == _shown(found), (seed, asked)
        if len(asked.photos) == 1 and not asked.unlike:
            assert _shown(doors.lateral(asked)) == _shown(found), (seed, asked)


@pytest.mark.parametrize("n", [FEW_DOORS, pytest.param(MANY_DOORS, marks=pytest.mark.thorough)])
def test_the_command_line_and_the_api_equal_python(doors: Doors, n: int) -> None:
    for seed in range(10_000, 10_000 + n):
        asked = drawn(random.Random(seed), doors.photos)
        found = doors.python(asked)
        assert mistake(doors.photos[asked.encoder], asked, found) is None, (seed, asked)
        assert _shown(doors.api(asked)) == _shown(found), (seed, asked)
        if asked.vector is None:
            assert _shown(doors.cli(asked)) == _shown(found), (seed, asked)


def _shown(rows: Rows) -> Rows:
    """Rows without a score that is missing or that says nothing."""
    return [
        {name: row[name] for name in COLUMNS} | ({"score": row["score"]} if row.get("score") is not None else {})
        for row in rows
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: [rows[0], *rows[2:], rows[1]],
        lambda rows: [*rows[:-1], rows[0]],
        lambda rows: [{**rows[0], "like_ratio": 0.123}, *rows[1:]],
        lambda rows: [{**rows[0], "distance": rows[0]["distance"] + 1e-4}, *rows[1:]],
    ],
    ids=["one too few", "another order", "twice the same", "another label", "another distance"],
)
@pytest.mark.parametrize("options", [{}, {"per_user": 1}, {"popularity": 0.5}, {"diverse": 0.5}], ids=str)
def test_the_brute_force_sees_a_wrong_answer(doors: Doors, options: dict[str, Any], change: Any) -> None:
    known = doors.photos["toy_l2"]
    asked = Asked("toy_l2", (known.ids[7],), options={"k": 6} | options)
    rows = doors.python(asked)
    assert mistake(known, asked, rows) is None
    wrong = [row | {"rank": rank} for rank, row in enumerate(change(rows), 1)]
    assert mistake(known, asked, wrong) is not None


@pytest.mark.parametrize(
    "encoder", ["Toy:two-words.1", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("toy_l2", "whole"))]
)
def test_photos_that_left_the_store_are_in_no_relation_and_in_no_answer_at_any_moment(
    doors: Doors, encoder: str
) -> None:
    """Their vectors are still in the files, until the next build."""
    store, known = doors.store, doors.photos[encoder]
    (relation,) = store.sql("select relation from vectors() where encoder = $e", {"e": encoder})["relation"]
    stored, _ = store.embeddings(encoder)
    gone = sorted({*stored} - {*known.ids})
    assert gone
    for moment in ({}, {"as_of": "2024-06-01"}, {"known_at": "2024-06-01"}):
        held = store.sql(f"select photo_id from {relation} order by photo_id", **moment)["photo_id"].to_list()
        assert held == known.ids
        found = store.sql(f"from similar('{known.ids[0]}', k := 1000, encoder := '{encoder}')", **moment)
        assert not {*found["photo_id"]} & {*gone}
        assert len(found) == len(known.ids) - 1
        joined = store.sql(
            f"select b.photo_id from {relation} a join {relation} b"
            " exact nearest 300 by distance array_distance(a.embedding, b.embedding)",
            **moment,
        )
        assert {*joined["photo_id"]} == {*known.ids}
        for query in (f"'{gone[0]}'", f"['{known.ids[0]}', '{gone[0]}']", f"'{known.ids[0]}', unlike := '{gone[0]}'"):
            with pytest.raises(InputError, match=rf"no photo.*{gone[0]}"):
                store.sql(f"from similar({query}, encoder := '{encoder}')", **moment)


@pytest.mark.parametrize("n", [8, pytest.param(80, marks=pytest.mark.thorough)])
def test_nearest_joins_equal_a_brute_force(doors: Doors, n: int) -> None:
    for seed in range(n):
        draw = random.Random(seed)
        known = doors.photos[draw.choice(sorted(ENCODERS))]
        k, where = draw.choice((1, 3, 20)), draw.choice(sorted(PREDICATES))
        distance = {"l2": "array_distance", "cosine": "array_cosine_distance"}[known.metric]
        (relation,) = doors.store.sql("select relation from vectors() where encoder = $e", {"e": known.encoder})[
            "relation"
        ]
        asked = sorted(draw.sample(known.ids, 30))
        found = doors.store.sql(
            f"select a.photo_id, b.photo_id as other, {distance}(a.embedding, b.embedding) as distance"
            f" from (from {relation} where photo_id in (select unnest({asked}))) a left join ("
            f"   select photo_id, embedding from {relation} where photo_id in (select photo_id from"
            f"   (select photo_labels.*, users.followers, photos.width from photo_labels join photos using (photo_id)"
            f"   left join users on photos.user_id = users.user_id) where {where}\n)) b"
            f" exact nearest {k} by distance {distance}(a.embedding, b.embedding)"
        )
        matching = [one for one in known.ids if any(map(PREDICATES[where], _labeled(known, one)))]
        for photo in asked:
            rows = found.filter(photo_id=photo).drop_nulls("other").sort("distance")
            near = known.distances(known.X[known.at[photo]], [known.at[one] for one in matching])
            if known.metric == "cosine":  # DuckDB's distance from a vector of no length is NaN, the farthest
                lengths = np.abs(known.X[[known.at[one] for one in [photo, *matching]]]).sum(axis=1)
                near[(lengths[1:] == 0) | (lengths[0] == 0)] = np.nan
            assert len(rows) == min(k, len(matching)), (seed, where, photo)
            np.testing.assert_allclose(rows["distance"], np.sort(near)[:k], atol=1e-4)
            of = dict(zip(matching, near, strict=True))
            np.testing.assert_allclose(rows["distance"], [of[one] for one in rows["other"]], atol=1e-4)


def _labeled(known: Photos, photo_id: str) -> list[dict[str, Any]]:
    return [label for label in known.labels[photo_id] if label["source"]]

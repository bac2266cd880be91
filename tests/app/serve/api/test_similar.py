"""Searches for similar photos: the same rows at every door; many at once; hostile input."""

import contextlib
import io
import json
import socket
import threading

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.serve.api.arrow_body import ARROW, queries_of
from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.features.similar_many.search import ManySearch
from tests.app.program import program
from tests.app.serve.live_server import form

ASKED = {
    "plain": {},
    "rules": {"per_user": 1, "other_users": True, "where": "gender is not null"},
    "popular": {"popular": True, "popular_within": "gender"},
    "mixed": {"popularity": 0.3, "popularity_by": "percentile"},
    "diverse": {"diverse": 0.4, "popular_within": "users.gender"},
}


@pytest.fixture(scope="module")
def store(root):
    with FeatureStore(root) as store:
        yield store


@pytest.fixture(scope="module")
def ids(store):
    """Some photos with one face."""
    query = "select photo_id from photo_setups where setup = 'one_face' order by photo_id limit 6"
    return store.sql(query)["photo_id"].to_list()


def many(server, value, **headers):
    return server.post("/api/v1/similar", value, **headers)


def body(table, **options):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def upload(server, data, query="", **headers):
    return server.ask("POST", f"/api/v1/similar/arrow{query}", data, {"Content-Type": ARROW} | headers)


def flat(told):
    """The rows of an answer as those of `similar_many`."""
    return [
        {"query_no": number, **{name: one[name] for name in ("query", "problem", "detail")}, **photo}
        for number, one in enumerate(told["queries"], 1)
        for photo in one["photos"] or [{}]
    ]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("unlike", [False, True], ids=["", "unlike"])
def test_python_command_line_and_http_agree(server, store, root, ids, asked, unlike):
    more = {"unlike": ids[4:]} if unlike else {}
    python = store.similar(ids[:2], k=5, encoder="dlib_face", **asked, **more).to_dicts()
    told = many(server, {"photo_id": ids[:2], "k": 5, "encoder": "dlib_face", **asked, **more}).json
    assert told["photos"] == python
    assert {"encoder", "generation", "plan", "recall", "n_matching", "population", "remarks"} <= told.keys()
    flags = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in asked.items()
    ] + [f"--unlike={name}" for name in more.get("unlike", ())]
    done = CliRunner().invoke(
        program,
        ["similar", *ids[:2], "-k", "5", "--encoder", "dlib_face", *flags, "--store", str(root), "--format", "json"],
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == told["photos"]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_many_are_answered_alike_in_python_in_json_in_arrow_and_from_a_file(server, store, root, ids, tmp_path, asked):
    python = store.similar_many([*ids, "nobody"], k=3, encoder="dlib_face", **asked)
    sent = {"photo_ids": [*ids, "nobody"], "k": 3, "encoder": "dlib_face", **asked}
    told = many(server, sent).json
    assert told["n_queries"] == 7 == told["n_answered"] + sum(told["problems"].values())
    assert told["problems"] == {"unknown_photo": 1}
    rows = python.drop("detail").to_dicts()
    mine = [{name: row.get(name) for name in rows[0]} for row in flat(told)]
    assert mine == rows
    stream = many(server, sent, Accept=ARROW)
    assert stream.headers["Content-Type"] == ARROW
    with pa.ipc.open_stream(stream.body) as reader:
        assert [{name: row[name] for name in rows[0]} for row in reader.read_all().to_pylist()] == rows
        assert json.loads(reader.schema.metadata[b"generation"]) == told["generation"]
    file = tmp_path / "ids.csv"
    file.write_text("\n".join(["photo_id", *ids, "nobody"]))
    flags = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in asked.items()]
    written = tmp_path / "found.parquet"
    command = ["similar", "--from-file", str(file), "-k", "3", "--encoder", "dlib_face", *flags]
    done = CliRunner().invoke(program, [*command, "--store", str(root), "--output", str(written)])
    assert done.exit_code == 0, done.output
    assert pl.read_parquet(written).drop("detail").to_dicts() == rows
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_vectors_as_json_and_as_arrow_find_their_photos(server, store, ids):
    names, X = store.embeddings("dlib_face", ids)
    told = many(server, {"vectors": X.tolist(), "k": 1, "encoder": "dlib_face"}).json
    assert [one["photos"][0]["photo_id"] for one in told["queries"]] == names
    assert [one["query"] for one in told["queries"]] == [str(n) for n in range(1, 7)]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    table = pa.table({"embedding": lists, "photo_id": names})
    arrow = upload(server, body(table), "?k=1&encoder=dlib_face").json
    assert [one["photos"][0]["photo_id"] for one in arrow["queries"]] == names
    assert [one["query"] for one in arrow["queries"]] == names
    streamed = upload(server, body(table), "?k=1&encoder=dlib_face", Accept=ARROW)
    with pa.ipc.open_stream(streamed.body) as reader:
        assert reader.read_all()["photo_id"].to_pylist() == names


def test_a_bad_vector_does_not_lose_the_others(server, ids):
    good = [0.1] * 128
    sent = {"vectors": [good, [1, 2], [], [1e39] * 128, good], "k": 2, "encoder": "dlib_face"}
    told = many(server, sent).json
    assert [one["problem"] for one in told["queries"]] == [
        None,
        "wrong_dimension",
        "wrong_dimension",
        "not_finite",
        None,
    ]
    assert [one["n_photos"] for one in told["queries"]] == [2, 0, 0, 0, 2]
    assert many(server, sent | {"strict": True}).code == "not_usable"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "The body has no query. Expected: photo_id, text or both, photo_ids, or vectors"),
        ({"photo_id": "a", "photo_ids": ["a"]}, "The body has photo_id and photo_ids."),
        ({"photo_ids": []}, "items"),
        ({"photo_ids": [""]}, "characters"),
        ({"photo_ids": ["x" * 1_025]}, "characters"),
        ({"photo_ids": [1]}, "string"),
        ({"vectors": [["a"]]}, "number"),
        ({"vectors": [[None]]}, "number"),
        ({"vectors": [1]}, "array"),
        (b'{"vectors": [[NaN]]}', "JSON"),
        (b'{"vectors": [[Infinity]]}', "JSON"),
        ({"photo_id": ["a"] * 33}, "32 items"),
        ({"photo_ids": ["a"] * 2_000, "k": 1_000}, "results"),
        ({"photo_ids": ["a"], "k": 1_001}, "k "),
        ({"photo_ids": ["a"], "popularity": 1.5}, "popularity"),
        ({"photo_ids": ["a"], "popularity_by": "luck"}, "like_ratio"),
        ({"photo_id": "a", "strict": True}, "strict"),
    ],
)
def test_requests_beyond_the_description_are_refused(server, value, said):
    answer = many(server, value)
    assert answer.status == 400
    assert said in answer.json["message"]


@pytest.mark.parametrize("population", ["luck", "photo_labels.nothing", "nothing.value", 'photo_labels."x"', "a.b;c"])
def test_a_population_that_is_none_is_refused_in_words_of_the_api(server, ids, population):
    answer = many(server, {"photo_id": ids[0], "popular": True, "popular_within": population})
    assert answer.status in (400, 409, 422), answer.body
    assert "--" not in answer.json["message"]


def test_a_client_cannot_ask_whether_a_file_exists(server, ids, tmp_path):
    file = tmp_path / "portrait.jpg"
    file.write_bytes(b"x")
    told = many(server, {"photo_ids": [str(file), str(tmp_path / "none.jpg")], "encoder": "dlib_face"}).json
    assert [one["problem"] for one in told["queries"]] == ["unknown_photo"] * 2
    assert len({one["detail"].replace(one["query"][:80], "") for one in told["queries"]}) == 1
    assert many(server, {"photo_id": ids[0], "unlike": [str(file)]}).code == "not_found"


def test_photos_of_the_store_join_an_uploaded_picture(server, store, portrait, ids):
    photo_id, data = portrait
    sent, kind = form([("me.jpg", data)], k=3, encoder="dlib_face", popularity="0.25", unlike=ids[5])
    answer = server.ask("POST", "/api/v1/similar", sent, {"Content-Type": kind})
    assert answer.status == 200, answer.body
    assert len(answer.json["photos"]) == 3
    assert all("score" in photo for photo in answer.json["photos"])
    sent, kind = form([("me.jpg", data)], k="3", encoder="dlib_face", photo_id=photo_id)
    found = server.ask("POST", "/api/v1/similar", sent, {"Content-Type": kind}).json["photos"]
    assert [photo["photo_id"] for photo in found] == store.similar(photo_id, k=3, encoder="dlib_face")[
        "photo_id"
    ].to_list()


TABLES = {
    "ids": pa.table({"photo_id": ["a", "b", None]}),
    "vectors": pa.table({"embedding": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(12, np.float32)), 4)}),
    "ragged": pa.table({"embedding": [[1.0], None, [2.0, 3.0]], "photo_id": ["a", "b", None]}),
}
HOSTILE = {
    "empty": b"",
    "rubbish": b"\xff\xff\xff\xff\x10\0\0\0" + b"a" * 99,
    "endless": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a file": b"ARROW1" + b"\0" * 20,
    "cut": body(TABLES["vectors"])[:-30],
    "zstd": body(TABLES["vectors"], compression="zstd"),
    "lz4": body(TABLES["ids"], compression="lz4"),
    "dictionary": body(pa.table({"photo_id": pa.array(["a", "b"]).dictionary_encode()})),
    "null": body(pa.table({"photo_id": pa.nulls(3)})),
    "integers": body(pa.table({"embedding": [[1, 2]]})),
    "other columns": body(pa.table({"photo_id": ["a"], "x": [1]})),
    "repeated column": body(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["photo_id", "photo_id"])),
    "nested": body(pa.table({"embedding": [[[1.0]]]})),
    "empty lists": body(pa.table({"embedding": pa.array([[]], pa.list_(pa.float32(), 0))})),
    "long id": body(pa.table({"photo_id": ["x" * 1_000_000]})),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_row_of_arrow_is_a_query(table):
    (block,) = queries_of(body(table), Limits())
    assert len(block) == 3


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_arrow_is_refused(server, data):
    with pytest.raises(ApiError, match="body"):
        queries_of(data, Limits())
    answer = upload(server, data)
    assert answer.status == 400
    assert answer.code == "bad_request"


def test_damaged_arrow_is_an_error_of_the_client_or_an_answer():
    random = np.random.default_rng(7)
    for _ in range(2_000):
        data = bytearray(body(TABLES[("ids", "vectors", "ragged")[random.integers(3)]]))
        for at in random.integers(0, len(data), random.integers(1, 5)):
            data[at] = random.integers(256)
        with contextlib.suppress(ApiError):
            assert all(len(block.queries) == len(block) for block in queries_of(bytes(data), Limits()))


def test_more_rows_than_the_limit_are_refused_before_they_are_read():
    with pytest.raises(ApiError, match="more than 2 queries"):
        queries_of(body(TABLES["ids"]), Limits(similar_queries=2))


def test_the_body_of_arrow_has_its_own_type_and_options_in_the_address(server):
    answer = server.post("/api/v1/similar/arrow", {})
    assert (answer.status, answer.code) == (415, "unsupported_type")
    assert upload(server, body(TABLES["ids"]), "?k=0").status == 400
    assert upload(server, body(TABLES["ids"]), "?k=2&k=3").status == 400
    assert upload(server, body(TABLES["ids"]), "?popularity=NaN").status == 400
    assert upload(server, body(TABLES["ids"]), "?encoder=dlib_face&popularity=0.5").json["problems"] == {
        "unknown_photo": 2,
        "no_query": 1,
    }


def test_work_for_a_client_that_has_gone_ends(server, ids, monkeypatch):
    answered, started = [], threading.Event()
    inner = ManySearch.answer

    def counted(self, block):
        answered.append(len(block))
        started.set()
        return inner(self, block)

    monkeypatch.setattr(ManySearch, "answer", counted)
    n_blocks = 200
    table = pa.table({"photo_id": [ids[0]] * (256 * n_blocks)})
    data = body(table)
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port))) as client:
        head = (
            f"POST /api/v1/similar/arrow?k=10&encoder=dlib_face HTTP/1.1\r\nHost: {server.host}\r\nAccept: {ARROW}\r\n"
        )
        client.sendall(f"{head}Content-Type: {ARROW}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        assert started.wait(60)
    assert upload(server, body(TABLES["ids"]), "?encoder=dlib_face").status == 200  # there is a turn again
    assert 0 < len(answered) < n_blocks

"""Each endpoint returns the same numbers as the Python API of the store."""

import io
import json
import re
from base64 import b64decode

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.models.predict import predict


@pytest.fixture(scope="module")
def store(root):
    with FeatureStore(root) as store:
        yield store


def test_sql_answers_with_columns_types_and_rows(server):
    answer = server.sql(
        "select 1 as one, 'a' as b, null as c, [1, 2] as d, timestamp '2024-01-02' as t, 2::hugeint ** 9"
    )
    assert answer.status == 200
    told = answer.json
    assert [column["name"] for column in told["columns"]][:5] == ["one", "b", "c", "d", "t"]
    assert told["columns"][3]["type"] == "INTEGER[]"
    assert told["rows"] == [[1, "a", None, [1, 2], "2024-01-02T00:00:00Z", 512]]
    assert (told["n_rows"], told["cut"]) == (1, False)


def test_integers_that_javascript_would_round_are_texts(server):
    huge = "170141183460469231731687303715884105727::hugeint"
    query = f"select {huge}, 9007199254740993, [9007199254740993], -9007199254740991"
    assert server.sql(query).json["rows"] == [[str(2**127 - 1), "9007199254740993", ["9007199254740993"], 1 - 2**53]]
    decimals = server.sql("select 12345678901234567890.123456789::decimal(38, 9), 0.5::decimal(3, 1)").json["rows"]
    assert decimals == [["12345678901234567890.123456789", 0.5]]


def test_nan_and_the_infinities_are_not_null(server):
    query = "select 'nan'::double, 'inf'::double, '-inf'::double, null, timestamptz 'infinity', interval 1 year"
    assert server.sql(query).json["rows"] == [["NaN", "Infinity", "-Infinity", None, "infinity", "1 year"]]


ASKED = "select $n as n, typeof($n) as kind"


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (7, [7, "INTEGER"]),
        (2**70, [str(2**70), "HUGEINT"]),
        (0.5, [0.5, "DOUBLE"]),
        (True, [True, "BOOLEAN"]),
        (None, [None, '"NULL"']),
        ("x'; drop table y", ["x'; drop table y", "VARCHAR"]),
    ],
)
def test_parameters_of_sql_are_bound(server, given, row):
    answer = server.post("/api/v1/sql", {"query": ASKED, "parameters": {"n": given}})
    assert (answer.status, answer.json["rows"]) == (200, [row])


def test_parameters_are_bound_in_a_sample_and_for_question_marks(server):
    query = {"query": "select ? as n from range(1000)", "parameters": {"1": 7}, "sample": 3, "limit": 3}
    assert server.post("/api/v1/sql", query).json["rows"] == [[7], [7], [7]]


@pytest.mark.parametrize(
    ("query", "given", "code", "message"),
    [
        (ASKED, None, "query_refused", "The query needs a value for $n."),
        (ASKED, {"m": 1}, "query_refused", "The query has no parameter $m."),
        (ASKED, {"n": 2**128}, "query_refused", "$n is a number of 129 bits."),
        (ASKED, {"n": [1]}, "bad_request", "parameters.n does not match"),
        (ASKED, {"n": {"a": 1}}, "bad_request", "parameters.n does not match"),
        (ASKED, {"n": "x" * 100_001}, "bad_request", "parameters.n does not match"),
        (ASKED, {str(n): 1 for n in range(101)}, "bad_request", "parameters does not match"),
        (ASKED, [1], "bad_request", "parameters does not match"),
        ("from read_csv($n)", {"n": "/etc/passwd"}, "query_refused", "The function read_csv is not allowed"),
        ("from query($n)", {"n": "select 1"}, "query_refused", "The function query is not allowed"),
    ],
)
def test_parameters_of_sql_that_do_not_fit_are_refused(server, query, given, code, message):
    answer = server.post("/api/v1/sql", {"query": query} | ({} if given is None else {"parameters": given}))
    assert (answer.status, answer.json["code"]) == (400, code)
    assert answer.json["message"].startswith(message)


@pytest.mark.parametrize("value", ["interval+1+day", "union_value(k+:=+1)", "timestamptz+%27infinity%27"])
def test_any_value_of_sql_can_be_downloaded(server, value):
    answer = server.get(f"/api/v1/sql/export?format=parquet&query=select+{value}+as+v,+1+as+n")
    assert answer.status == 200
    assert pl.read_parquet(io.BytesIO(answer.body))["n"].to_list() == [1]


def test_an_answer_is_cut_at_its_limit_and_marked(server):
    told = server.sql("from range(100)", limit=10).json
    assert (told["n_rows"], told["cut"], told["rows"][-1]) == (10, True, [9])
    told = server.sql("from range(10)", limit=10).json
    assert (told["n_rows"], told["cut"]) == (10, False)


def test_downloads_have_all_rows(server, store):
    users = store.sql("select user_id, followers from users order by user_id")
    query = "select+user_id,+followers+from+users+order+by+user_id"
    parquet = server.get(f"/api/v1/sql/export?query={query}&format=parquet")
    assert pl.read_parquet(io.BytesIO(parquet.body)).equals(users)
    csv = server.get(f"/api/v1/sql/export?query={query}&format=csv")
    assert csv.headers["Content-Disposition"] == 'attachment; filename="result.csv"'
    assert pl.read_csv(io.BytesIO(csv.body)).equals(users)
    many = server.get("/api/v1/sql/export?query=from+range(300000)&format=csv")
    assert many.body.count(b"\n") == 300_001


def test_a_download_that_is_refused_has_the_status_of_an_error(server):
    answer = server.get("/api/v1/sql/export?query=from+nowhere&format=csv")
    assert (answer.status, answer.code) == (400, "query_refused")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_failed_download_does_not_affect_the_next_one(server, form):
    rows = "case+when+i<9000+then+i+else+error('half-way')+end+as+i+from+range(10000)+as+t(i)"
    for _ in range(3):
        answer = server.get(f"/api/v1/sql/export?query=select+{rows}&format={form}")
        assert (answer.status, answer.code) == (400, "query_refused")
        assert "half-way" in answer.json["message"]
        assert server.get("/api/v1/sql/export?query=select+1+as+one&format=csv").body == b"one\n1\n"


def test_a_photo_has_all_details(server, store, portrait):
    photo_id, _ = portrait
    told = server.get(f"/api/v1/photos/{photo_id}").json
    row = store.sql(f"from photo_labels where photo_id = '{photo_id}'").row(0, named=True)
    assert told["label"] == {name: row[name] for name in ("source", "value", "weight", "popular", "percentile")}
    assert len(told["faces"]) == 1
    assert told["faces"][0]["x0"] < told["faces"][0]["x1"] <= told["width"] + 50
    assert told["periods"]
    assert len(told["predictions"]) == 1
    assert told["predictions"][0]["encoder"] == "dlib_face"


def test_features_are_in_the_order_of_the_request(server, store, portrait):
    photo_id, _ = portrait
    faceless = store.sql("select photo_id from photos anti join faces using (photo_id) limit 1").item()
    told = server.post("/api/v1/features", {"photo_ids": [faceless, photo_id, "nobody"], "encoder": "dlib_face"}).json
    assert [photo["status"] for photo in told["photos"]] == ["no_vector", "ok", "unknown_photo"]
    _, expected = store.embeddings("dlib_face", [photo_id])
    np.testing.assert_array_equal(np.float32(told["photos"][1]["embedding"]), expected[0])
    same = server.post("/api/v1/features", {"photo_ids": [photo_id], "encoder": "dlib_face", "vectors": "base64"}).json
    np.testing.assert_array_equal(np.frombuffer(b64decode(same["photos"][0]["embedding"]), "<f4"), expected[0])
    assert told["photos"][1]["label"]["value"] == server.get(f"/api/v1/photos/{photo_id}").json["label"]["value"]
    assert told["photos"][2]["label"] is None
    assert (told["encoder"], told["dim"]) == ("dlib_face", 128)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"popular": True},
        {"where": "gender = 'female'"},
        {"where": "percentile > 50", "popular": True, "k": 3},
    ],
)
def test_similar_finds_what_the_store_finds(server, store, portrait, asked):
    photo_id, _ = portrait
    told = server.post("/api/v1/similar", {"photo_id": photo_id, "encoder": "dlib_face", **asked}).json
    found = store.similar(photo_id, encoder="dlib_face", **asked).to_dicts()
    assert [photo["photo_id"] for photo in told["photos"]] == [photo["photo_id"] for photo in found]
    for mine, theirs in zip(told["photos"], found, strict=True):
        assert mine == pytest.approx(theirs)


def test_an_uploaded_photo_finds_itself_and_is_not_stored(server, root, portrait):
    photo_id, data = portrait
    before = {path for path in root.rglob("*") if "thumbnails" not in path.parts}
    answer = server.form("/api/v1/similar", [("me.jpg", data)], k=2)
    assert {path for path in root.rglob("*") if "thumbnails" not in path.parts} == before
    assert answer.status == 200, answer.body
    nearest = answer.json["photos"][0]
    assert nearest["photo_id"] == photo_id
    assert nearest["distance"] == pytest.approx(0, abs=1e-4)


def test_predictions_are_those_of_the_library(server, store, portrait, tmp_path):
    _, data = portrait
    path = tmp_path / "portrait.jpg"
    path.write_bytes(data)
    (expected,) = predict(store, [path])
    told = server.form("/api/v1/predict", [("a.jpg", data), ("b.jpg", b"not a picture"), ("c.jpg", data)]).json
    assert [photo["status"] for photo in told["photos"]] == ["ok", "not_an_image", "ok"]
    assert [photo["file"] for photo in told["photos"]] == ["a.jpg", "b.jpg", "c.jpg"]
    for at in (0, 2):
        assert told["photos"][at]["prediction"] == pytest.approx(expected.prediction, abs=1e-4)
        assert told["photos"][at]["low"] == pytest.approx(expected.low, abs=1e-4)
    assert told["photos"][1]["prediction"] is None


def test_the_breakdown(server, store):
    told = server.get("/api/v1/breakdown?window=every").json
    rows = store.sql("from gender_breakdown where time_window = 'every'")
    assert sum(row["n_swipes"] for row in told["rows"]) == rows["n_swipes"].sum()


def test_runs_with_their_results_unpacked(server):
    (run,) = server.get("/api/v1/runs").json["runs"]
    assert (run["target"], run["encoder"], run["head"]) == ("like_ratio", "dlib_face", "0fc")
    assert isinstance(run["results"], dict)


@pytest.mark.parametrize("by", ["like_ratio", "percentile", "prediction"])
def test_pages_of_the_gallery_have_one_order(server, by):
    first = server.get(f"/api/v1/gallery?by={by}&limit=10").json
    second = server.get(f"/api/v1/gallery?by={by}&limit=10&offset=10").json
    values = [photo[by] for photo in first["photos"] + second["photos"]]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert values[: len(known)] == known, "photos without a value come last"
    assert len({photo["photo_id"] for photo in first["photos"] + second["photos"]}) == len(values)


def test_gallery_filters_reduce_the_photos(server, store):
    told = server.get("/api/v1/gallery?gender=female&popular=true&setup=one_face&split=train").json
    expected = store.sql(
        "select count(*) from photo_setups inner join photos using (photo_id) inner join (from photo_labels"
        " qualify row_number() over (partition by photo_id order by source desc) = 1) as first_labels"
        " using (photo_id) where setup = 'one_face' and split = 'train' and gender = 'female' and popular"
        " and status = 'ok'"
    ).item()
    assert told["n_photos"] == expected
    assert {photo["gender"] for photo in told["photos"]} == {"female"}


def test_health_metrics_and_store(server, store):
    told = server.get("/api/v1/health").json
    assert told["status"] == "ok"
    assert told["n_photos"] == store.sql("select count(*) from photos").item()
    assert server.get("/api/v1/store").json["relations"]["photos"] == told["n_photos"]
    text = server.get("/api/v1/metrics").body.decode()
    assert 'photogenic_requests_total{method="GET",route="/api/v1/health",status="200"}' in text
    assert f"photogenic_photos {told['n_photos']}" in text


def test_every_address_of_the_description_is_served(server):
    described = server.get("/api/openapi.json").json
    for path, methods in described["paths"].items():
        for method in methods:
            answer = server.ask(method.upper(), re.sub(r"\{\w+\}", "nobody", f"/api/v1{path}"))
            assert answer.status not in (405, 500), path
            if answer.status == 404:
                assert "nobody" in answer.json["message"]


def test_the_description_names_every_code(server):
    described = server.get("/api/openapi.json").json
    told = json.dumps(described["paths"])
    for code in described["components"]["schemas"]["Error"]["properties"]["code"]["enum"]:
        assert f"{code}: " in told or code == "method_not_allowed"


def test_a_nearest_join_is_answered_with_its_plan(server):
    join = "exact nearest 2 by distance array_distance(a.embedding, b.embedding)"
    query = f"select a.photo_id, b.photo_id as near from vectors_dlib_face a join vectors_dlib_face b {join}"
    told = server.post("/api/v1/sql", {"query": query, "limit": 4}).json
    (explained, *_) = server.post("/api/v1/sql", {"query": f"explain {query}"}).json["rows"]
    assert told["plan"] == [explained[1]]
    assert told["plan"][0].startswith("NEAREST 2: exact over ")
    slow = query.replace("distance array", "distance 1 + array")
    (line,) = server.post("/api/v1/sql", {"query": slow, "limit": 4}).json["plan"]
    assert line.startswith("NEAREST 2: DuckDB compares all pairs of rows, because its ranking is not a distance")
    assert "plan" not in server.post("/api/v1/sql", {"query": "select 1"}).json

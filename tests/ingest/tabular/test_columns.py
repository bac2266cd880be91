"""Mapping of columns: clashes, unusual headers, columns of only NULL, JSON that is not NDJSON."""

import datetime as dt
import io
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from photogenic.warehouse import InputError, StoreError
from tests.ingest.ingest_store import StoreWithFiles

AT = "2024-01-01"
OURS = {"sender_id": "a", "recipient_id": "b", "liked": "1", "swiped_at": AT}
HELD = [("a", "b", True, dt.datetime(2024, 1, 1))]
INTERNAL = [
    *("file_row_number", "File_Row_Number", "filename", "file_index", "file_last_modified", "rowid", "line", "broken"),
    *("text", "raw", "row_text", "found", "problem", "detail", "given", "source", "records", "ready", "typed", "h"),
    *("judged", "checked", "staged", "column0", "C0", "f0", "f1", "t0", "t1", "key", "numbers", "odd", "kind"),
    *("sender_id_1", "Sender_ID", "SENDER ID", "", " ", '"', "'", "a.b", "a/b", "~", "*", "$1", "{}"),
    *("select", "__index_level_0__", "é", "\U0001f600", "null", "dt", "schema", "hive_partitioning"),
]


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def as_csv(names, row):
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in (names, row))
    return "\n".join(quoted).encode()


def as_ndjson(names, row):
    return (
        "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(cell)}" for name, cell in zip(names, row, strict=True)) + "}"
    ).encode()


def as_parquet(names, row):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([cell]) for cell in row], names=list(names)), sink)
    return sink.getvalue()


FORMS = {"csv": as_csv, "ndjson": as_ndjson, "parquet": as_parquet}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_no_name_of_another_column_clashes_with_ours_or_with_added_ones(store, form, before):
    names = [*INTERNAL, *OURS] if before else [*OURS, *INTERNAL]
    row = [OURS.get(name, f"not {name}") for name in names]
    path = store.file(f"dt=2024-01-01/sender_id=x/given.{form}", FORMS[form](names, row))
    bad = store.file(f"bad.{form}", FORMS[form](names, [cell if cell != AT else "?" for cell in row]))
    account, refused = store.take("swipes", path, bad)
    assert store.swipes() == HELD
    assert account.ignored == tuple(sorted(INTERNAL) if form == "ndjson" else INTERNAL)
    [(line, reason, detail, raw)] = store.rows("select line, reason, detail, raw from facts.rejects")
    assert (line, reason, detail) == (2 if form == "csv" else 1, "bad_time", "?")
    assert json.loads(raw)["file_row_number"] == "not file_row_number"
    assert not list(store.db.layout.spill.glob("*"))
    assert refused.refused == {"bad_time": 1}


@pytest.mark.parametrize("name", ["file_row_number", "FILE_ROW_NUMBER"])
def test_lines_are_counted_if_a_column_has_the_name_of_their_number(store, name):
    path = store.parquet(
        "many.parquet",
        f"""
        select 'a' as sender_id, case when i % 1000 <> 7 then 'b' || i end as recipient_id, true as liked,
            timestamp '2024-01-01' as swiped_at, i * 3 as {name}
        from range(300000) as t(i)
        """,
    )
    [account] = store.take("swipes", path)
    assert account.refused == {"no_recipient_id": 300}
    assert [line for line, _ in store.rejects()] == list(range(8, 300_000, 1000))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turn", [1, -1])
def test_the_exact_name_wins_and_an_inexact_one_must_be_unique(store, form, turn):
    names, row = ["Sender_ID", *OURS], ["WRONG", *OURS.values()]
    account = store.take_text("swipes", FORMS[form](names[::turn], row[::turn]), f"exact.{form}")
    assert store.swipes() == HELD
    assert account.ignored == ("Sender_ID",)
    clash = FORMS[form](["Sender_ID", "SENDER_ID", *list(OURS)[1:]][::turn], ["x", *OURS.values()][::turn])
    path = store.file(f"clash.{form}", clash)
    with pytest.raises(InputError, match="has 2 columns 'sender_id'"):
        store.take("swipes", path)
    [account] = store.take("swipes", path, mapping={"sender_id": "SENDER_ID"})
    assert account.ignored == ("Sender_ID",)
    with pytest.raises(InputError, match="has 2 columns 'sender-id'"):
        store.take("swipes", path, mapping={"sender_id": "sender-id"})


def test_one_of_our_names_twice_is_refused(store):
    names, row = ["sender_id", *OURS], ["x", *OURS.values()]
    for form in ("csv", "parquet"):
        path = store.file(f"twice.{form}", FORMS[form](names, row))
        with pytest.raises(InputError, match="has 2 columns 'sender_id'"):
            store.take("swipes", path)
        [account] = store.take(
            "swipes", store.file(f"other.{form}", FORMS[form](["note", "note", *OURS], ["1", "2", *OURS.values()]))
        )
        assert account.ignored == ("note", "note")
    inner = pa.StructArray.from_arrays([pa.array(["1"]), pa.array(["2"])], names=["k", "k"])
    table = pa.table({**{name: [value] for name, value in OURS.items()}, "inner": inner})
    pq.write_table(table, store.folder / "inner.parquet")
    assert store.take("swipes", store.folder / "inner.parquet")[0].n_read == 1


def test_an_object_with_a_key_twice_is_refused(store):
    text = (
        '{"user_id": "a", "gender": "f"}\n{"user_id": "b", "user_id": "c"}\n'
        '{"user_id": "d", "note": 1, "note": 2}\n{"user_id": "e", "User_ID": "f", "in": {"k": 1, "k": 2}}\n'
    )
    account = store.take_text("users", text, "users.ndjson")
    assert account.refused == {"repeated_key": 2}
    assert store.rejects() == [(2, "repeated_key"), (3, "repeated_key")]
    assert store.rows("select user_id from facts.users order by 1") == [("a",), ("e",)]


def test_columns_of_only_null(store):
    nothing = {"user_id": ["a", "b"], "gender": [None, None], "followers": [None, None], "created_at": [None, None]}
    pq.write_table(pa.table(nothing), store.folder / "arrow.parquet")
    pl.DataFrame(nothing).write_parquet(store.folder / "polars.parquet")
    pd.DataFrame(nothing).to_parquet(store.folder / "pandas.parquet")
    pd.DataFrame(nothing, index=[None, None]).to_parquet(store.folder / "index.parquet", index=True)
    for name in ("arrow", "polars", "pandas", "index"):
        [account] = store.take("users", store.folder / f"{name}.parquet")
        assert (account.n_new + account.n_known, account.refused) == (2, {})
    assert account.ignored == ("__index_level_0__",)
    assert store.rows("select user_id, gender, followers, created_at from facts.users order by 1") == [
        ("a", None, None, None),
        ("b", None, None, None),
    ]
    tags = pa.array([None, []], pa.list_(pa.null()))
    nulls = {name: pa.nulls(2) for name in ("path", "url", "posted_at", "likes", "set_at", "note")}
    pq.write_table(
        pa.table({"photo_id": ["p", "q"], "user_id": ["a", "a"], "hashtags": tags, **nulls}), store.folder / "p.parquet"
    )
    [account] = store.take("photos", store.folder / "p.parquet")
    assert (account.n_new, account.n_main_photos, account.ignored) == (2, 0, ("note",))
    pq.write_table(pa.table({"user_id": pa.nulls(3)}), store.folder / "no_ids.parquet")
    assert store.take("users", store.folder / "no_ids.parquet")[0].refused == {"no_user_id": 3}


HEADERS = {
    # name: (file, the line of the row `b`, which has a bad gender)
    "sep": (b"sep=;\nuser_id;gender\na;f\nb;bad\n", 4),
    "sep quoted, crlf": (b'"sep=,"\r\nuser_id,gender\r\na,f\r\nb,bad\r\n', 4),
    "sep tab": (b"SEP=\t\nuser_id\tgender\na\tf\nb\tbad\n", 4),
    "sep of any sign": (b"sep=^\nuser_id^gender\na^f\nb^bad\n", 4),
    "sep filled up": (b"sep=,,,\nuser_id,gender,\na,f,\nb,bad,\n", 4),
    "sep overrides detection": (b"sep=;\nuser_id;a,b,c,user_id,gender;gender\na;;f\nb;;bad\n", 4),
    "sep with a mark": (b"\xef\xbb\xbfsep=;\r\n\r\nuser_id;gender\r\na;f\r\nb;bad\r\n", 5),
    "sep in utf-16": (("\ufeff" + "sep=;\r\nuser_id;gender\r\na;f\r\nb;bad\r\n").encode("utf-16-le"), 4),
    "unicode text": (("\ufeff" + "user_id\tgender\tü\r\na\tf\t\r\nb\tbad\t\r\n").encode("utf-16-be"), 3),
    "line end in a name": (b'user_id,"bio\n(free, text)\r\n",gender\na,x,f\nb,x,bad\n', 5),
    "lone cr in a name": (b'user_id\t"a\rb"\tgender\ra\tx\tf\rb\tx\tbad\r', 4),
    "blanks around names": (b' user_id , gender ,"about"  ,\na,f,,\nb,bad,,\n', 3),
    "quotes in names": (b'"user_id","a ""b"" c",5" tall,gender\na,,,f\nb,,,bad\n', 3),
    "names that are empty": (b",user_id,,gender,\n0,a,,f,\n1,b,,bad,\n", 3),
    "pipes": (b"user_id|gender\na|f\nb|bad\n", 3),
    "blank lines before": (b"\n\r\nuser_id,gender\na,f\nb,bad\n", 5),
    "a mark within quotes": (b'"\xef\xbb\xbfuser_id",gender\na,f\nb,bad\n', 3),
}


def test_headers(store):
    paths = [store.file(f"{number}.csv", text) for number, (text, _) in enumerate(HEADERS.values())]
    for name, account in zip(HEADERS, store.take("users", *paths), strict=True):
        assert (name, account.n_read, account.n_new + account.n_known) == (name, 2, 1)
        assert str(account).splitlines() == [str(account)]
        [(line,)] = store.rows(f"select line from facts.rejects where source = '{account.source}'")
        assert (name, line) == (name, HEADERS[name][1])
    assert store.rows("select distinct user_id, gender from facts.users") == [("a", "female")]


REFUSED = {
    "an open quote": (b'"user_id","bio\na,f\n', "cannot be read"),
    "sep of nothing": (b"sep=\nuser_id,gender\n", "names no separator"),
    "sep and no more": (b"sep=;\n\n", "no header"),
    "utf-16 without a mark": ("user_id,gender\na,f\n".encode("utf-16-le"), "is UTF-16LE"),
    "utf-16 backwards": ("user_id,gender\na,f\n".encode("utf-16-be"), "is UTF-16BE"),
    "utf-32": ("\ufeffuser_id\na\n".encode("utf-32-le"), "is UTF-32"),
    "indented": (b'{\n  "user_id": "a"\n}\n', "indented JSON: its first object goes over 3 lines"),
    "two on a line": (b'{"user_id": "a"} {"user_id": "b"}\n', "several JSON objects on its first line"),
    "concatenated": (b'{"user_id": "a"}{"user_id": "b"}', "several JSON objects"),
    "an array": (b'\n [{"user_id": "a"}]', "JSON array"),
    "an id that is an object": (b'{"user_id": {"id": 1}}\n{"user_id": {"id": 2}}\n', "'user_id' holds objects"),
    "an id that is a list": (b'{"user_id": null}\n{"user_id": [1]}\n', "'user_id' holds objects or lists"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(store, name):
    data, message = REFUSED[name]
    path = store.file("given.ndjson" if data.lstrip()[:1] in {b"{", b"["} else "given.csv", data)
    with pytest.raises(InputError, match=message) as caught:
        store.take("users", path)
    assert all((caught.value.what, caught.value.expected, caught.value.remedy))
    if "JSON" in message:
        assert caught.value.remedy.startswith("jq -c ")
        assert not caught.value.remedy.endswith(" given.ndjson")


def test_an_object_is_refused_as_an_id_in_every_row(store):
    rows = [{"photo_id": "p", "user_id": "{a}", "path": "x"}, {"photo_id": {"id": 1}, "user_id": "a"}]
    rows += [{"photo_id": "q", "user_id": ["a"]}, {"photo_id": "r", "user_id": "a", "path": {"x": "y"}}]
    rows += [{"photo_id": "[s]", "user_id": "a", "hashtags": ["Me"]}]
    account = store.take_text("photos", "\n".join(map(json.dumps, rows)), "photos.ndjson")
    assert store.rejects() == [(2, "nested_value"), (3, "nested_value"), (4, "nested_value")]
    assert store.rows("select photo_id, user_id from facts.photos order by 1") == [("[s]", "a"), ("p", "{a}")]
    assert account.refused == {"nested_value": 3}
    path = store.file("nested.ndjson", '{"user": {"id": "u"}, "gender": "f"}\n')
    with pytest.raises(InputError, match="no column 'user_id'") as caught:
        store.take("users", path)
    assert caught.value.remedy == "--map user_id=user.id"
    with pytest.raises(InputError, match="'user' holds objects") as caught:
        store.take("users", path, mapping={"user_id": "user"})
    assert caught.value.remedy == "--map user_id=user.id"


@pytest.mark.parametrize(
    ("header", "remedy"),
    [
        ("event_id,recipient_id,liked,swiped_at", "--map sender_id=THEIRS"),
        ("id,recipient,liked,swiped_at", "--map sender_id=THEIRS --map recipient_id=recipient"),
        ("event_id,senderId,recipient_id,liked,swiped_at", None),
        ("event_id,sender,recipient_id,liked,swiped_at", "--map sender_id=sender"),
        ("event_id,sender_uuid,recipient_id,liked,swiped_at", "--map sender_id=sender_uuid"),
        ("event_id,SenderID,recipient_id,liked,swiped_at", None),
        ("event_id,sendr_id,recipient_id,liked,swiped_at", "--map sender_id=sendr_id"),
        ("sender_id,recipient_id,liked,created_at", "--map swiped_at=THEIRS"),
    ],
)
def test_a_column_is_suggested_only_if_its_name_is_similar(store, header, remedy):
    path = store.file("swipes.csv", header + "\n")
    with pytest.raises(InputError) as caught:
        store.take("swipes", path)
    theirs = "senderId" if "senderId" in header else "SenderID"
    assert caught.value.remedy == (remedy or f"--map sender_id={theirs}")


def test_a_parquet_file_is_reported_as_damaged_only_if_it_is(store, monkeypatch):
    good = store.folder / "good.parquet"
    pq.write_table(pa.table({"user_id": ["a"] * 1000}), good)
    cases = {
        "cut": (good.read_bytes()[:-9], InputError, "its end is missing", "cut short"),
        "no columns": (as_parquet([], []), InputError, "holds no columns", "with columns"),
        "encrypted": (b"PARE" + bytes(100) + b"PARE", InputError, "cannot be read", None),
    }
    for name, (data, kind, what, expected) in cases.items():
        with pytest.raises(kind, match=what) as caught:
            store.take("users", store.file(f"{name}.parquet", data))
        assert expected is None or expected in caught.value.expected
    store.take("users", good)

    def too_little(*_):
        raise MemoryError("Unable to allocate 15.3 MiB")

    monkeypatch.setattr("photogenic.ingest.tabular.load.add_users", too_little)
    pq.write_table(pa.table({"user_id": ["b"]}), good)
    with pytest.raises(StoreError, match="more memory than there is: Unable to allocate") as caught:
        store.take("users", good)
    assert "ulimit -v" in caught.value.remedy
    assert store.rows("select distinct user_id from facts.users") == [("a",)]

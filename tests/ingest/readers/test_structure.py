"""Unusual files, each with its expected outcome. One literal file per case, lines counted by hand."""

import gzip

import pyarrow as pa
import pytest

from photogenic.warehouse import InputError
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

pytestmark = pytest.mark.slow

HEAD = b"user_id,gender,about\n"
BIG = b"x" * 1_000_000


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


CASES = {
    # name: (file, users kept, {line: reason})
    "plain": (HEAD + b"a,f,x\nb,m,y\n", "ab", {}),
    "no newline at the end": (HEAD + b"a,f,x\nb,m,y", "ab", {}),
    "byte order mark": (b"\xef\xbb\xbf" + HEAD + b"a,f,x\n", "a", {}),
    "utf-16": (("\ufeff" + (HEAD + b"a,f,x\nb,bad,\n").decode()).encode("utf-16-le"), "a", {3: "bad_gender"}),
    "crlf": (HEAD.replace(b"\n", b"\r\n") + b"a,f,x\r\nb,bad,y\r\n", "a", {3: "bad_gender"}),
    "lone cr": (HEAD.replace(b"\n", b"\r") + b"a,f,x\rb,bad,y\r", "a", {3: "bad_gender"}),
    "blank lines": (b"\n\n" + HEAD + b"\n\na,f,x\n\r\n\nb,bad,y\n\n", "a", {9: "bad_gender"}),
    "blank fields": (HEAD + b",,\na,,\n", "a", {2: "no_user_id"}),
    "quoted newlines": (HEAD + b'a,f,"1\n2\r\n\n3"\nb,bad,y\n', "a", {6: "bad_gender"}),
    "quoted everything": (b'"user_id","gender","about"\n"a","f","x, ""y"""\n"b","bad",""\n', "a", {3: "bad_gender"}),
    "a quote inside a field": (HEAD + b'a,f,5" tall\nb,bad,"\n', "a", {3: "bad_quotes"}),
    "an inch at the end": (HEAD + b'a,f,5"\nb,bad,6"\nc,f,7"\n', "ac", {3: "bad_gender"}),
    "too few": (HEAD + b"a,f\nb,bad,y\nc,f,x\n", "c", {2: "too_few_columns", 3: "bad_gender"}),
    "too many": (HEAD + b"a,f,x,y\nb,bad,y\nc,f,x\n", "c", {2: "too_many_columns", 3: "bad_gender"}),
    "text behind a closing quote": (HEAD + b'a,"f"oo,x\nb,f,x\n', "b", {2: "bad_quotes"}),
    "a quote behind a blank": (HEAD + b'a, "f",x\nb,f,x\n', "b", {2: "bad_quotes"}),
    "a quote never closed": (HEAD + b'a,f,"x\nb,f,x\nc,f,x\n', "bc", {2: "bad_quotes"}),
    "never closed, others after": (
        HEAD + b'a,f,"x\nb,f,"y\nz"\nc,bad,"q"\nd,f,x\n',
        "bd",
        {2: "bad_quotes", 5: "bad_gender"},
    ),
    "one row in bad encoding": (
        HEAD + "a,f,é\n".encode() + b"b,f,\xe9\nc,bad,x\n",
        "a",
        {3: "bad_encoding", 4: "bad_gender"},
    ),
    "a field of a million": (
        HEAD + b"a,f," + BIG + b"\nb,bad,\n" + BIG + b",f,\n",
        "a",
        {3: "bad_gender", 4: "too_long"},
    ),
    "a quoted field of a million": (
        HEAD + b'a,f,"' + b"12345678\n" * 111_111 + b'"\nb,bad,\n',
        "a",
        {111114: "bad_gender"},
    ),
    "a line of twenty million": (
        HEAD + b"a,f," + BIG * 20 + b"\nb,bad,\nc,f,\n",
        "c",
        {2: "too_long", 3: "bad_gender"},
    ),
    "the last line cut": (HEAD + b"a,f,x\nb,bad,y\nc,", "a", {3: "bad_gender", 4: "too_few_columns"}),
    "only a header": (HEAD, "", {}),
    "semicolons": (b"user_id;gender\na;f\nb;bad\n", "a", {3: "bad_gender"}),
    "tabs": (b"user_id\tgender\na\tf\nb\tbad\n", "a", {3: "bad_gender"}),
    "names in another spelling": (b" User-ID ,GENDER \na,f\n", "a", {}),
    "one column": (b"user_id\na\n\nb\n", "ab", {}),
    "gzip": (gzip.compress(HEAD + b"a,f,x\nb,bad,y\n"), "a", {3: "bad_gender"}),
    "two gzip members": (gzip.compress(HEAD + b"a,f,x\n") + gzip.compress(b"b,bad,y\n"), "a", {3: "bad_gender"}),
    "zstd": (zstd(HEAD + b"a,f,x\nb,bad,y\n"), "a", {3: "bad_gender"}),
    "ndjson": (
        b'{"user_id": "a", "gender": "f", "more": [1, {"x": 2}]}\n\n{"USER_ID": "z"}\n{"user_id": 7}\nnonsense\n'
        b'[1]\n{"user_id": "b", "gender": "bad"}\n{"user_id": null}\n{"user_id": "c"',
        "7a",
        {3: "no_user_id", 5: "bad_json", 6: "bad_json", 7: "bad_gender", 8: "no_user_id", 9: "bad_json"},
    ),
    "ndjson with a mark": (
        b'\xef\xbb\xbf{"user_id": "a"}\r\n{"user_id": "b\xff"}\r\n{"user_id": "\xc3\xa9"}',
        "aé",
        {2: "bad_encoding"},
    ),
    "ndjson gzip": (gzip.compress(b'{"user_id": "a"}\n'), "a", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_outcome(store, name):
    content, users, rejects = CASES[name]
    account = store.take_text("users", content, "users.csv")
    assert "".join(user for (user,) in store.rows("select user_id from facts.users order by 1")) == users
    assert dict(store.rejects()) == rejects
    assert account.n_read == len(users) + len(rejects)
    assert account.n_new == len(users)


REFUSED = {
    "empty": ("users.csv", b"", "is empty"),
    "blank": ("users.csv", b"\n\n  \n", "is empty"),
    "empty parquet": ("users.parquet", b"", "is empty"),
    "empty gzip": ("users.csv.gz", gzip.compress(b""), "is empty"),
    "no such column": ("users.csv", b"id,gender\na,f\n", "has no column 'user_id'"),
    "twice the same column": ("users.csv", b"user_id,gender,user_id\na,f,b\n", "has 2 columns 'user_id'"),
    "an archive": ("users.zip", b"PK\x03\x04....", "unknown format"),
    "a json array": ("users.json", b'[{"user_id": 1}]', "JSON array"),
    "no object": ("users.ndjson", b"1\n2\n", "no JSON object"),
    "a parquet cut short": ("users.parquet", b"PAR1" + b"\0" * 100, "cannot be read"),
    "gzip cut in the header": ("users.csv.gz", gzip.compress(HEAD)[:12], "cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_the_first_write(store, name):
    file, content, message = REFUSED[name]
    good = store.file("good.csv", b"user_id\na\n")
    with pytest.raises(InputError, match=message):
        store.take("users", good, store.file(file, content))
    assert not store.db.layout.warehouse.exists()


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_nothing_of_a_truncated_compressed_file_is_loaded_and_the_files_before_it_are(store, pack):
    rows = b"".join(b"user-%d,f,%d\n" % (n, n * 7919 % 1000) for n in range(400_000))
    packed = pack(HEAD + rows)
    good = store.file("good.csv", HEAD + b"a,f,\n")
    cut = store.file("cut.csv.packed", packed[: len(packed) // 2])
    cut = cut.rename(cut.with_name("cut.csv"))
    with pytest.raises(InputError, match="cut short or damaged"):
        store.take("users", good, cut)
    assert store.rows("select user_id from facts.users") == [("a",)]
    cut.write_bytes(packed)
    assert store.take("users", cut)[0].n_new == 400_000


@pytest.mark.parametrize("compression", ["snappy", "zstd"])
def test_nothing_of_a_damaged_parquet_file_is_loaded(store, compression):
    path = store.parquet("users.parquet", "select 'user-' || hash(i) as user_id from range(100000) as t(i)")
    data = bytearray(path.read_bytes())
    data[1000:3000] = b"\x5a" * 2000
    path.write_bytes(data)
    with pytest.raises(InputError, match="cut short or damaged"):
        store.take("users", path)
    assert store.rows("select count(*) from facts.users") == [(0,)]


def test_a_key_that_appears_late_is_read(store):
    rows = (
        b'{"user_id": "a", "about": "%s"}\n' % (b"x" * 1000) * 3000
        + b'{"User_ID": "z"}\n{"user_id": "b", "Gender": "f"}'
    )
    account = store.take_text("users", rows, "users.ndjson")
    assert store.rows("select user_id, gender from facts.users order by 1") == [("a", None), ("b", "female")]
    assert account.ignored == ("about", "User_ID")


def test_latin1_is_detected_and_reported(store):
    account = store.take_text("users", "user_id,gender\nJosé,m\nZoë,bad\n".encode("latin-1"))
    assert store.rows("select user_id from facts.users") == [("José",)]
    assert store.rows("select line, raw ->> 'user_id' from facts.rejects") == [(3, "Zoë")]
    assert account.notes == ("not UTF-8: read as Latin-1",)


def test_line_numbers_are_right_after_the_first_block(store):
    """A block has 8 MiB; a quoted field crosses its border, after line ends of every kind."""
    line = b'%d,f,"one\n' + b"two " * 100 + b'"\n'
    body = b"".join(line % n for n in range(30_000))
    head = HEAD + b'x,f,"open\n\n'
    account = store.take_text("users", head + body + b"last,bad,x\n")
    assert store.rejects() == [(2, "bad_quotes"), (3 + 1 + 60_000, "bad_gender")]
    assert account.n_new == 30_000


def test_a_field_open_for_longer_than_a_record_loses_its_line(store):
    """A field that opens after it, across the border of a block, is read completely."""
    text = b'a,f,"' + b"no quote here\n" * 1_300_000 + b'b,f,"one\n' + b"two\n" * 300_000 + b'"\nc,bad,\n'
    account = store.take_text("users", HEAD + text)
    assert account.refused == {"bad_quotes": 1, "too_few_columns": 1_299_999, "bad_gender": 1}
    assert store.rows("select user_id from facts.users") == [("b",)]
    assert store.rows("select line from facts.rejects where reason <> 'too_few_columns' order by 1") == [
        (2,),
        (2 + 1_300_000 + 300_000 + 2,),
    ]


def test_wrong_parquet_types(store):
    cases = {
        "true as sender_id, 'b' as recipient_id, true as liked, now() as swiped_at": "sender_id",
        "'a' as sender_id, [1] as recipient_id, true as liked, now() as swiped_at": "recipient_id",
        "'a' as sender_id, 'b' as recipient_id, now() as liked, now() as swiped_at": "liked",
        "'a' as sender_id, 'b' as recipient_id, true as liked, true as swiped_at": "swiped_at",
        "'a' as sender_id, 'b' as recipient_id, true as liked, {'at': 1} as swiped_at": "swiped_at",
    }
    for query, column in cases.items():
        with pytest.raises(InputError, match=f"column '{column}' is"):
            store.take("swipes", store.parquet("swipes.parquet", f"select {query}"))


def test_parquet_rows_are_counted_like_lines_and_bytes_may_be_text(store):
    path = store.parquet(
        "swipes.parquet",
        "select 'a'::blob as sender_id, case when i % 1000 <> 7 then 'b' || i end as recipient_id, 'yes' as liked, "
        "timestamp '2024-01-01' as swiped_at, '2024' as dt from range(300000) as t(i)",
    )
    [account] = store.take("swipes", path)
    assert account.refused == {"no_recipient_id": 300}
    assert [line for line, _ in store.rejects()] == list(range(8, 300_000, 1000))
    assert account.ignored == ("dt",)


def test_ignored_columns_are_named_and_mapped_ones_win(store):
    text = "from,to,Liked,when,sender_id\na,b,1,2024-01-01,zzz\n"
    mapping = {"sender_id": "from", "recipient_id": "TO", "swiped_at": "when"}
    account = store.take_text("swipes", text, mapping=mapping)
    assert store.rows("select sender_id, recipient_id from facts.swipes") == [("a", "b")]
    assert account.ignored == ("sender_id",)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"sender": "a"}, "swipes have no column 'sender'"),
        ({"sender_id": "form"}, "has no column 'form'"),
    ],
)
def test_a_mapping_that_matches_nothing(store, mapping, message):
    path = store.file("swipes.csv", "from,recipient_id,liked,swiped_at\na,b,1,2024-01-01\n")
    with pytest.raises(InputError, match=message) as caught:
        store.take("swipes", path, mapping=mapping)
    assert "--map sender_id=" in caught.value.remedy


def test_missing_files_globs_and_folders(store):
    store.file("a.csv", SWIPES)
    (store.folder / "none").mkdir()
    for source, message in {
        "b.csv": "There is no file",
        "*.parquet": "No file matches",
        "none": "holds no file",
    }.items():
        with pytest.raises(InputError, match=message):
            store.take("swipes", store.folder / "a.csv", store.folder / source)
    with pytest.raises(InputError, match="No file was named"):
        store.take("swipes")
    with pytest.raises(InputError, match="no kind 'likes'"):
        store.take("likes", store.folder / "a.csv")
    assert not store.db.layout.warehouse.exists()


def test_globs_list_each_file_once_in_order_and_unusual_names_are_files(store):
    for name in ("b.csv", "a.csv", "[x]*?.csv"):
        store.file(name, SWIPES + f"{name[0]},r,1,2024-01-01\n")
    store.parquet(
        "[p]*.parquet", "select '*' as sender_id, 'r' as recipient_id, 1 as liked, date '2024-01-01' as swiped_at"
    )
    accounts = store.take("swipes", store.folder / "*.csv", store.folder / "a.csv", store.folder / "[p]*.parquet")
    assert [account.source.rpartition("/")[2] for account in accounts] == [
        "[x]*?.csv",
        "a.csv",
        "b.csv",
        "[p]*.parquet",
    ]
    assert [sender for sender, *_ in store.swipes()] == ["*", "[", "a", "b"]

"""Hostile files of rows: each row is taken in or refused, or the file is refused, without a traceback.

`HOSTILE_EXAMPLES` is the number of examples of each kind; few by default.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photogenic.warehouse import InputError
from tests.faults.mutations import mutated
from tests.ingest.ingest_store import StoreWithFiles

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "5"))
SECONDS = 60
HEADER = ("sender_id", "recipient_id", "liked", "swiped_at")

hostile = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 50
)
nasty = st.sampled_from(
    [
        *(
            "",
            " ",
            "\0",
            "\ufeff",
            '"',
            '""',
            "'",
            ",",
            ";",
            "\t",
            "\n",
            "\r",
            "\r\n",
            "\\",
            "NULL",
            "NaN",
            "-inf",
            "true",
        ),
        *(
            "=cmd()",
            "1e999",
            "9" * 400,
            "0000-00-00",
            "2024-02-30",
            "9999-12-31T23:59:60Z",
            "\U0001f600",
            "\u202e",
            "x" * 70_000,
        ),
        *("'; drop table facts.swipes; --", "../../etc/passwd", "<script>", "%s%n", "{}", "[[[[", "2024-01-01"),
    ]
)
cells = st.one_of(
    nasty, st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(["a", "b", "1", "0"])
)
rows = st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=12)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), nasty, st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*HEADER, "", "a.b"]), inner, max_size=4)
    ),
    max_leaves=12,
)


beats = []


def taken(data, name, kind="swipes"):
    """Return the report of a file, whose counts must add up; None: it was refused."""
    with tempfile.TemporaryDirectory() as folder:
        store, started = StoreWithFiles(Path(folder)), time.monotonic()
        try:
            [account] = store.take(kind, store.file(name, data))
        except InputError as error:
            beats.append((error.what, error.expected, error.remedy))
            return None
        assert time.monotonic() - started < SECONDS
        assert account.n_read == account.n_new + account.n_refused
        [(n_rejects,)] = store.rows("select count(*) from facts.rejects")
        assert n_rejects == account.n_refused
        [(n_held,)] = store.rows(f"select count(*) from facts.{kind}")
        assert n_held == account.n_new - account.n_known
        return account


def as_csv(table):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([HEADER, *table])
    return text.getvalue().encode()


@hostile
@given(rows)
def test_csv_cells(table):
    account = taken(as_csv(table), "given.csv")
    assert account is None or account.n_read == len(table)


@hostile
@given(st.lists(json_values, min_size=1, max_size=8))
def test_json_of_any_shape(values):
    first = dict.fromkeys(HEADER, "x")
    lines = "".join(json.dumps(value) + "\n" for value in (first, *values))
    account = taken(lines, "given.ndjson")
    assert account is None or account.n_read == 1 + len(values)


@hostile
@given(rows)
def test_parquet_cells(table):
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [row[at] for row in table] for at, name in enumerate(HEADER)}), buffer)
    account = taken(buffer.getvalue(), "given.parquet")
    assert account is not None
    assert account.n_read == len(table)


names = st.lists(
    st.one_of(st.sampled_from([*HEADER, "Sender_ID", "file_row_number", "filename", "", "sep=;", "a\nb"]), nasty),
    min_size=1,
    max_size=8,
)


@hostile
@given(names, st.sampled_from(["csv", "ndjson", "parquet"]))
def test_columns_of_any_name_beside_ours(others, form):
    """The file is refused if two columns are ours; else the names of other columns do not change the row."""
    columns = [*((name, "x") for name in others), *zip(HEADER, ("a", "b", "1", "2024-01-01"), strict=True)]
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(zip(*columns, strict=True))
        data = text.getvalue().encode()
    elif form == "ndjson":
        data = ("{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in columns) + "}").encode()
    else:
        buffer = io.BytesIO()
        pq.write_table(
            pa.Table.from_arrays([pa.array([value]) for _, value in columns], [n for n, _ in columns]), buffer
        )
        data = buffer.getvalue()
    account = taken(data, f"given.{form}")
    if account is None:
        assert set(others) & set(HEADER)
    elif form != "ndjson":  # a key that is there twice refuses its row
        assert account.n_new == 1


HEADS = [b"", b"sender_id,recipient_id,liked,swiped_at\n", b"PAR1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe"]


@hostile
@given(
    st.sampled_from(HEADS),
    st.binary(max_size=300),
    st.sampled_from([".csv", ".ndjson", ".parquet", ".csv.gz", ".tsv", ".zst", ".bin"]),
)
def test_bytes_that_mean_nothing(head, data, suffix):
    taken(head + data, f"given{suffix}")


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "csv.gz"])
def test_sound_files_with_some_bytes_changed(form):
    rng = random.Random(form)
    table = [(f"u{n}", f"u{n + 1}", "1", f"2024-01-01T00:00:{n % 60:02}") for n in range(200)]
    sound = as_csv(table)
    if form == "ndjson":
        sound = "".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in table).encode()
    elif form == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.table({name: [row[at] for row in table] for at, name in enumerate(HEADER)}), buffer)
        sound = buffer.getvalue()
    elif form == "csv.gz":
        sound = gzip.compress(sound)
    assert taken(sound, f"given.{form}").n_read == 200
    for _ in range(EXAMPLES):
        taken(mutated(sound, rng), f"given.{form}")


def test_refusals_speak_in_three_beats():
    taken(b"", "given.csv")
    assert all(all(beat) for beat in beats)


def swell(folder: str) -> list[object]:
    """Ingest a compression bomb, and return the result and the growth of memory in MB."""
    started, before = time.monotonic(), peak_mb()
    one_line = gzip.compress(b"sender_id,recipient_id,liked,swiped_at\n" + b"a" * 200_000_000)
    wide = gzip.compress(b"sender_id,recipient_id,liked,swiped_at\n" + b"," * 30_000_000 + b"\n")
    deep = b'{"sender_id": ' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}\n"
    ended = []
    packed = pa.compress(gzip.decompress(one_line), "zstd", asbytes=True)
    lines = {"line.csv.gz": one_line, "line.csv.zst": packed, "wide.csv.gz": wide, "deep.ndjson": deep}
    for name, data in lines.items():
        where = Path(folder) / name
        where.mkdir()
        store = StoreWithFiles(where)
        try:
            [account] = store.take("swipes", store.file(name, data))
            ended.append([account.n_read, account.n_new])
        except InputError:
            ended.append([0, 0])
    return [ended, peak_mb() - before, time.monotonic() - started]


def peak_mb() -> float:
    """Return the peak memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def in_a_process_of_its_own(function, *words):
    program = f"from {function.__module__} import {function.__name__} as f; import json, sys; "
    program += "print(json.dumps(f(*sys.argv[1:])))"
    command = [sys.executable, "-W", "ignore::UserWarning", "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_packed_bombs_take_bounded_memory_and_time(tmp_path):
    outcome, grown_mb, seconds = in_a_process_of_its_own(swell, tmp_path)
    assert all(n_kept == 0 for _, n_kept in outcome)
    assert grown_mb < 1_000
    assert seconds < 120

"""Arrow, ORC, Avro and spreadsheets give the rows that CSV gives; damaged files of each are errors, and no crash."""

from __future__ import annotations

import datetime as dt
import importlib.util
import random
import zipfile
from xml.sax.saxutils import escape

import polars as pl
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from photogenic.ingest.readers import conversion
from photogenic.ingest.readers.formats import by_content
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import MissingPartError
from tests.ingest.ingest_store import StoreWithFiles

AT = dt.datetime(2024, 5, 1, 12, 30, 15)
needs_calamine = pytest.mark.skipif(
    importlib.util.find_spec("python_calamine") is None, reason="the extra spreadsheets is not installed"
)


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def table(n=3):
    """The last row has no sender."""
    return pa.table(
        {
            "sender_id": pa.array([f"s{at}" for at in range(n)] + [None]),
            "recipient_id": pa.array([*range(n), n], pa.int64()),
            "liked": ["like", "nope", "skip"][:n] + ["like"] * (n - 2),
            "swiped_at": pa.array([AT] * (n + 1), pa.timestamp("us")),
            "note": ["x"] * (n + 1),
        }
    )


def write(path, rows, kind):
    if kind == "arrow":
        with pa.ipc.new_file(path, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=max(len(rows) // 50, 2))
    elif kind == "arrows":
        with pa.ipc.new_stream(path, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=max(len(rows) // 50, 2))
    elif kind == "feather":
        pl.from_arrow(rows).write_ipc(path, compression="lz4")
    elif kind == "orc":
        pyarrow.orc.write_table(rows, path)
    elif kind == "avro":
        pl.from_arrow(rows).write_avro(path)
    else:
        write_sheet(path, rows)
    return path


def cell(value):
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, dt.datetime):
        return f'<c s="1"><v>{(value - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1)!r}</v></c>'
    if isinstance(value, (int, float)):
        return f"<c><v>{value!r}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def write_rows(path, rows, sheets=("Swipes",)):
    """Write rows of cells as the first sheet of a workbook, the least that Excel opens."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbers = range(1, len(sheets) + 1)
    body = "".join(f'<row r="{at}">{"".join(map(cell, row))}</row>' for at, row in enumerate(rows, 1))
    relations = f'<Relationships xmlns="{package}/relationships">'
    types = "".join(
        f'<Default Extension="{ending}" ContentType="application/{type_}"/>'
        for ending, type_ in {"rels": "vnd.openxmlformats-package.relationships+xml", "xml": "xml"}.items()
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{types}</Types>',
        "_rels/.rels": f'{relations}<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": relations
        + "".join(f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>' for n in numbers)
        + f'<Relationship Id="r99" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in zip(numbers, sheets, strict=True))
        + "</sheets></workbook>",
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="22"/></cellXfs></styleSheet>',
        **{f"xl/worksheets/s{n}.xml": f'<worksheet xmlns="{main}"><sheetData/></worksheet>' for n in numbers},
        "xl/worksheets/s1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return path


def write_sheet(path, rows):
    write_rows(path, [rows.column_names, *zip(*rows.to_pydict().values(), strict=True)])


KINDS = ["arrow", "arrows", "feather", "orc", "avro", pytest.param("xlsx", marks=needs_calamine)]
EXPECTED = [("s0", "0", True, AT), ("s1", "1", False, AT), ("s2", "2", False, AT)]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_lines_and_ids(store, kind):
    path = write(store.folder / f"swipes.{kind}", table(), kind)
    [account] = store.take("swipes", path)
    assert (account.n_read, account.refused, account.ignored) == (4, {"no_sender_id": 1}, ("note",))
    assert store.swipes() == EXPECTED
    assert store.rejects() == [(5 if kind == "xlsx" else 4, "no_sender_id")]
    assert store.take("swipes", path)[0].repeated
    assert not any((store.folder / "store" / "tmp").rglob("*"))


@pytest.mark.parametrize("kind", ["orc", "avro"])
def test_formats_in_one_folder_and_by_content_alone(store, kind):
    write(store.folder / "swipes", table(), kind)
    [account] = store.take("swipes", store.folder / "swipes")
    assert account.n_new == 3
    (store.folder / "lake" / "liked=1").mkdir(parents=True)
    write(store.folder / "lake" / "liked=1" / f"a.{kind}", table().drop_columns(["liked"]), kind)
    [account] = store.take("swipes", store.folder / "lake")
    assert (account.n_known, account.n_corrected) == (1, 2), "the folder says that all are likes"


def test_many_batches_and_rows(store):
    path = write(store.folder / "swipes.arrow", table(200_000), "arrows")
    [account] = store.take("swipes", path)
    assert (account.n_new, account.refused) == (200_000, {"no_sender_id": 1})
    assert store.rejects() == [(200_001, "no_sender_id")]


def test_types_that_parquet_lacks_and_ids_of_every_type(store):
    rows = pa.table(
        {
            "user_id": pa.array(["a", "b"]).dictionary_encode(),
            "gender": pa.array(["f", "m"], pa.string_view()),
            "followers": pa.array([1, None], pa.uint64()),
            "created_at": pa.array([1 << 60, 1714566615], pa.timestamp("s")),
            "span": pa.nulls(2, pa.month_day_nano_interval()),
            "empty": pa.nulls(2, pa.struct([])),
        }
    )
    with pa.ipc.new_file(store.folder / "users.arrow", rows.schema) as writer:
        writer.write_table(rows)
    [account] = store.take("users", store.folder / "users.arrow")
    assert account.refused == {"future_time": 1}
    assert store.rows("select user_id, gender, followers, created_at from facts.users") == [("b", "male", None, AT)]


def test_values_inside_objects_and_uuids_of_16_bytes(store):
    rows = pa.table(
        {"u": pa.array([{"id": bytes(range(16)), "sex": "f"}], pa.struct({"id": pa.binary(16), "sex": pa.string()}))}
    )
    with pa.ipc.new_file(store.folder / "users.arrow", rows.schema) as writer:
        writer.write_table(rows)
    store.take("users", store.folder / "users.arrow", mapping={"user_id": "u.id", "gender": "u.sex"})
    assert store.rows("select user_id, gender from facts.users") == [("00010203-0405-0607-0809-0a0b0c0d0e0f", "female")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_no_rows_and_one_without_our_columns(store, kind):
    path = write(store.folder / f"a.{kind}", table().slice(0, 0), kind)
    [account] = store.take("swipes", path)
    assert (account.n_read, account.refused) == (0, {})
    with pytest.raises(InputError, match="has no columns 'photo_id', 'user_id'"):
        store.take("photos", path)


def damaged(data, kind, seed):
    draw = random.Random(f"{kind} {seed}")
    changed = bytearray(data)
    if seed % 3 == 0:
        return bytes(changed[: draw.randrange(8, len(changed))])
    for _ in range(draw.choice([1, 4, 40])):
        changed[draw.randrange(6, len(changed))] = draw.choice([0, 1, 127, 255, draw.randrange(256)])
    return bytes(changed)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(1, 40))])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_an_error_or_is_read(store, kind, seed):
    path = write(store.folder / f"a.{kind}", table(), kind)
    path.write_bytes(damaged(path.read_bytes(), kind, seed))
    try:
        [account] = store.take("swipes", path)
    except InputError as error:
        assert str(path) in error.what  # noqa: PT017
    else:
        assert account.n_read == account.n_new + account.n_known + account.n_refused


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.arrow", b"ARROW1\0\0" + b"\xff" * 100),
        ("a.feather", b"FEA1" + b"\0" * 100),
        ("a.orc", b"ORC" + b"\0" * 100),
        ("a.avro", b"Obj\x01" + b"\xff" * 100),
        ("a.arrows", b"\xff\xff\xff\xff\xff\xff\xff\x7f" * 10),
        pytest.param("a.xlsx", b"PK\x03\x04" + b"\0" * 100, marks=needs_calamine),
        pytest.param("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 2000, marks=needs_calamine),
    ],
)
def test_files_that_only_begin_as_such(store, name, data):
    with pytest.raises(InputError, match=r"begins as a.* but cannot be read") as caught:
        store.take("swipes", store.file(name, data))
    assert "Traceback" not in str(caught.value)


def test_a_reader_that_crashes_is_an_error(store, monkeypatch):
    monkeypatch.setattr(conversion.launch, "python_command", lambda *_: ["sh", "-c", "kill -SEGV $$"])
    with pytest.raises(InputError, match="ended with code -11"):
        store.take("swipes", write(store.folder / "a.orc", table(), "orc"))


@needs_calamine
def test_a_cell_far_from_the_others_costs_no_memory(store):
    """The reader holds the rectangle around all cells: here 17 billion."""
    path = write_rows(store.folder / "far.xlsx", [["sender_id"], ["a"]])
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    cell_at_the_end = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>'
    files["xl/worksheets/s1.xml"] = files["xl/worksheets/s1.xml"].replace(
        b"</sheetData>", cell_at_the_end + b"</sheetData>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="more than 4 GB of memory; a cell far from the others"):
        store.take("swipes", path)


def test_a_spreadsheet_without_the_package_names_it(store, monkeypatch):
    monkeypatch.setattr(conversion.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match="python-calamine") as caught:
        store.take("swipes", write(store.folder / "a.xlsx", table(), "xlsx"))
    assert caught.value.remedy == "pip install 'photogenic[spreadsheets]'"


@needs_calamine
def test_cells_of_a_spreadsheet(store):
    rows = [
        [],
        ["User ID", "gender", "followers", "created_at"],
        [17, "f", 3.0, AT],
        [],
        ["007", "M", 2, 45413.5],
        [2**53, "f", 1, None],
        ['a "b", c', None, 1.5, None],
        ["line\nend", None, None, "2024-05-01"],
    ]
    path = write_rows(store.folder / "users.xlsx", rows, sheets=("Users", "Notes"))
    [account] = store.take("users", path, mapping={"units": {"created_at": "excel"}})
    assert account.notes == ("other sheets are left out: Notes",)
    assert store.rejects() == [(6, "inexact_id"), (7, "bad_number")]
    assert store.rows("select user_id, gender, followers, created_at from facts.users order by 1") == [
        ("007", "male", 2, dt.datetime(2024, 5, 1, 12)),
        ("17", "female", 3, AT),
        ("line end", None, None, dt.datetime(2024, 5, 1)),
    ]


def test_a_csv_that_begins_like_another_format_is_a_csv(store):
    for name in ("ORCID", "FEA1", "ARROW1"):
        account = store.take_text("users", f"{name},user_id\n1,{name}\n")
        assert account.n_new == 1
    assert by_content(b"ORC" + b"\x08\x03", "part-0") == "orc"


def test_a_full_disk_is_named(store, monkeypatch):
    path = write(store.folder / "a.arrow", table(), "arrow")
    said = '{"no_room": "[Errno 28] No space left on device"}'
    monkeypatch.setattr(conversion.launch, "python_command", lambda *_: ["echo", said])
    with pytest.raises(Exception, match="No space left"):
        store.take("swipes", path)


def test_what_is_written_can_be_read_as_parquet(tmp_path):
    path = write(tmp_path / "a.arrow", table(70_000), "arrow")
    conversion._to_parquet(conversion._READERS["arrow"], path, tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").equals(table(70_000))

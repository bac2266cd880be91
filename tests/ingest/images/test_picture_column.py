"""Bytes of pictures in a column: the same statuses as files, and nothing of them in rejects, history or messages."""

import base64
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from photogenic.ingest.images import local_images
from photogenic.warehouse import InputError
from tests.ingest.images.test_local_images import STATES, picture
from tests.ingest.ingest_store import StoreWithFiles

SECRET = b"\x89never-in-a-reject"


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def contents():
    return {name: content for name, (content, *_) in STATES.items() if content is not None}


def frame(column="image", **more):
    held = contents()
    return pl.DataFrame({"photo_id": list(held), "user_id": "u", column: list(held.values()), **more})


def parquet(store, rows, name="given.parquet", **options):
    path = store.folder / name
    pq.write_table(rows if isinstance(rows, pa.Table) else rows.to_arrow(), path, **options)
    return path


def statuses(store):
    return dict(store.rows("select photo_id, status from photos"))


EXPECTED = {name: state[1] for name, state in STATES.items() if state[0] is not None}


@pytest.mark.parametrize("column", ["image", "Bytes", "jpeg"])
def test_parquet_with_bytes_has_the_statuses_of_files(store, column):
    mapping = {"image": "jpeg"} if column == "jpeg" else None
    [report] = store.take("photos", parquet(store, frame(column), row_group_size=3), mapping=mapping)
    assert statuses(store) == EXPECTED
    assert sum(report.pictures.values()) == len(EXPECTED)
    assert report.ignored == ()
    for photo_id, sha256 in store.rows("select photo_id, sha256 from photos where status = 'ok'"):
        assert store.store.layout.photo(sha256).read_bytes() == contents()[photo_id]


@pytest.mark.parametrize("make", [lambda rows: rows, lambda rows: rows.to_arrow(), lambda rows: rows.to_pandas()])
def test_frame_in_memory(store, make):
    store.take("photos", make(frame()))
    assert statuses(store) == EXPECTED


def test_bytes_inside_a_structure(store):
    held = frame().select("photo_id", "user_id", image=pl.struct(path=pl.col("photo_id"), bytes=pl.col("image")))
    before = held.with_columns(before=pl.struct(a=pl.lit(1), b=pl.lit("x")))
    path = parquet(store, before.select("before", "photo_id", "user_id", "image"))
    store.take("photos", path, mapping={"image": "image.bytes"})
    assert statuses(store) == EXPECTED
    with pytest.raises(InputError, match="pictures are bytes"):
        store.take("photos", path, mapping={"image": "image"})


def test_same_name_in_two_columns(store):
    table = frame().to_arrow()
    table = table.append_column("x", table["image"]).rename_columns(["photo_id", "user_id", "image", "image"])
    with pytest.raises(InputError, match="2 columns"):
        store.take("photos", parquet(store, table), mapping={"image": "image"})


def test_base64_in_ndjson_and_csv(store):
    good, bad = picture(), "no base64!"
    rows = [
        {"photo_id": "a", "user_id": "u", "jpeg": base64.b64encode(good).decode()},
        {"photo_id": "b", "user_id": "u", "jpeg": "data:image/jpeg;base64," + base64.b64encode(picture(1)).decode()},
        {"photo_id": "c", "user_id": "u", "jpeg": bad},
        {"photo_id": "d", "user_id": "u", "jpeg": None},
    ]
    text = "\n".join(map(json.dumps, rows))
    store.take_text("photos", text, "given.ndjson", mapping={"image": "jpeg"})
    assert statuses(store) == {"a": "ok", "b": "ok", "c": "unreadable", "d": None}
    csv = "photo_id,user_id,jpeg\ne,u," + base64.b64encode(picture(2)).decode() + "\n"
    store.take_text("photos", csv, mapping={"image": "jpeg"})
    assert statuses(store)["e"] == "ok"


def test_text_needs_a_mapping(store):
    report = store.take_text("photos", "photo_id,user_id,image\na,u,me.jpg\n")
    assert report.pictures == {}
    assert report.ignored == ("image",)
    assert statuses(store) == {"a": None}


def test_nothing_of_a_picture_is_in_the_rejects(store):
    content = SECRET + b"\0" * 100_000
    held = pl.DataFrame(
        {"photo_id": ["a", ""], "user_id": ["u", "u"], "likes": ["x", "1"], "image": [content, content]}
    )
    store.take("photos", parquet(store, held))
    nested = held.select("photo_id", "user_id", "likes", image=pl.struct(bytes="image"))
    store.take("photos", parquet(store, nested, "nested.parquet"), mapping={"image": "image.bytes"})
    encoded = base64.b64encode(content).decode()
    lines = [
        json.dumps({"photo_id": "", "user_id": "u", "o": {"jpeg": encoded}}),
        '{"photo_id": "b", "user_id": "u", "o": {"jpeg": "' + encoded[:3000],
        json.dumps({"photo_id": "c", "user_id": "u", "likes": "x", "o": {"jpeg": encoded}, "other": 1}),
    ]
    store.take_text("photos", "\n".join(lines) + "\n", "given.ndjson", mapping={"image": "o.jpeg"})
    found = store.rows("select reason, raw, detail from facts.rejects")
    assert len(found) == 2 + 2 + 3
    texts = [str(row) for row in found]
    assert not [text for text in texts if encoded[:16] in text or "never-in-a-reject" in text or len(text) > 1000]
    assert any('"other":1' in text for text in texts)


def test_rerun_continues_and_reads_only_what_is_missing(store, monkeypatch):
    monkeypatch.setattr(local_images, "_GROUP", 2)
    path = parquet(store, frame())
    kept = local_images._Importer.keep
    monkeypatch.setattr(local_images._Importer, "keep", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.take("photos", path)
    monkeypatch.setattr(local_images._Importer, "keep", kept)
    [report] = store.take("photos", path)
    assert sum(report.pictures.values()) == len(EXPECTED)
    assert statuses(store) == EXPECTED
    n = store.rows("select count(*) from facts.photo_files")
    [report] = store.take("photos", path)
    assert report.repeated
    assert report.pictures == {
        status: list(EXPECTED.values()).count(status) for status in sorted({*EXPECTED.values()} - {"ok"})
    }
    assert store.rows("select count(*) from facts.photo_files") == n


def test_a_newer_row_brings_a_newer_picture_and_an_older_one_does_not(store):
    def given(shade, updated_at):
        rows = {
            "photo_id": ["a"],
            "user_id": ["u"],
            "likes": [shade],
            "updated_at": [updated_at],
            "image": [picture(shade)],
        }
        return pl.DataFrame(rows)

    def stored():
        [(sha256,)] = store.rows("select sha256 from photos")
        return store.store.layout.photo(sha256).read_bytes()

    store.take("photos", given(1, "2024-02-01"))
    assert stored() == picture_of(1)
    store.take("photos", given(2, "2024-03-01"))
    assert stored() == picture_of(2)
    store.take("photos", given(3, "2024-01-01"))
    assert stored() == picture_of(2)


PICTURES = {}


def picture_of(shade):
    return PICTURES[shade]


@pytest.fixture(autouse=True)
def same_pictures(monkeypatch):
    """Draw each shade once: the noise differs at every call."""
    PICTURES.clear()
    draw = picture
    monkeypatch.setitem(
        globals(), "picture", lambda shade=0, **options: PICTURES.setdefault(shade, draw(shade, **options))
    )


def test_paths_are_looked_for_only_in_a_named_folder(store):
    store.file("images/b.jpg", picture(5))
    rows = pl.DataFrame(
        {"photo_id": ["a", "b"], "user_id": "u", "path": ["a.jpg", "b.jpg"], "image": [picture(4), None]}
    )
    [report] = store.take("photos", rows)
    assert report.pictures == {"ok": 1}
    [report] = store.take("photos", rows, images=store.folder / "images")
    assert report.pictures == {"ok": 1}
    assert statuses(store) == {"a": "ok", "b": "ok"}


def test_too_large_bytes_are_a_status(store, monkeypatch):
    from photogenic.ingest.images import picture_column

    monkeypatch.setattr(picture_column, "MAX_BYTES", 10)
    store.take("photos", frame().head(2))
    assert set(statuses(store).values()) == {"too_large"}


def test_retract_ignores_the_pictures(store):
    store.take("photos", frame())
    [report] = store.take("photos", frame(), retract=True)
    assert report.n_retracted == len(EXPECTED)
    assert report.pictures == {}


def test_damaged_pages_of_pictures_are_an_error(store):
    held = pl.DataFrame({"photo_id": ["a", "b"], "user_id": "u", "image": [bytes(range(256)) * 4000] * 2})
    path = parquet(store, held, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(0).column(2).data_page_offset
    data[at : at + 400] = b"\xff" * 400
    path.write_bytes(data)
    with pytest.raises(InputError):
        store.take("photos", path)

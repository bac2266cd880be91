"""Avro messages: without a header, with that of a schema registry, and as a file of one record."""

import datetime as dt
import io
import json

import fastavro
import pytest

from photogenic.ingest.streams.avro import AvroError, Decoder
from photogenic.warehouse import InputError

SCHEMA = {
    "type": "record",
    "name": "Swipe",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "sender_id", "type": "long"},
        {"name": "recipient_id", "type": ["null", "string"]},
        {"name": "liked", "type": "boolean"},
        {"name": "swiped_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
AT = dt.datetime(2026, 3, 1, 6, 30, 0, 250, dt.UTC)
ROW = {"event_id": "e1", "sender_id": 2**53 + 1, "recipient_id": "b", "liked": True, "swiped_at": AT}
JSON = {**ROW, "swiped_at": "2026-03-01T06:30:00.000250+00:00"}


def plain(row=ROW, schema=SCHEMA):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), row)
    return out.getvalue()


def file_of(schema, rows, codec="null"):
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), rows, codec=codec)
    return out.getvalue()


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "swipe.avsc"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


def test_a_record_of_the_given_schema_becomes_an_object(schema):
    assert json.loads(Decoder([schema]).decode(plain())) == JSON


def test_the_header_of_a_registry_chooses_the_schema_by_its_id(schema):
    decoder = Decoder([f"7={schema}"])
    assert json.loads(decoder.decode(b"\0\0\0\0\7" + plain())) == JSON
    for wrong in (b"\0\0\0\0\x08" + plain(), b"\1\0\0\0\7" + plain(), b"\0\0\0", b""):
        with pytest.raises(AvroError):
            decoder.decode(wrong)


def test_a_file_of_one_record_brings_its_schema():
    assert json.loads(Decoder().decode(file_of(SCHEMA, [ROW]))) == JSON


@pytest.mark.parametrize(
    "message",
    [
        file_of(SCHEMA, [ROW, ROW]),
        file_of(SCHEMA, []),
        file_of(SCHEMA, [ROW], codec="deflate"),
        file_of(SCHEMA, [ROW])[:-3],
        file_of("long", [7]),
        file_of({"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]},
                [{"a": [None] * 3}]),
        b"Obj\x01",
        b"Obj\x01" + b"\xff" * 40,
    ],
    ids=["two", "none", "compressed", "cut", "no record", "unbounded", "empty", "noise"],
)  # fmt: skip
def test_files_that_are_not_one_plain_record_are_refused(message):
    with pytest.raises(AvroError):
        Decoder().decode(message)


@pytest.mark.parametrize(
    "message", [b"", plain()[:-1], plain() + b"x", b"\xff" * 30, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
)
def test_bytes_that_are_not_one_whole_record_are_refused(schema, message):
    with pytest.raises(AvroError):
        Decoder([schema]).decode(message)


@pytest.mark.parametrize("text", ["", "{", '"long"', '{"type": "record"}', "[]", '{"type": "nonsense", "name": "a"}'])
def test_a_file_that_is_no_schema_of_a_record_is_an_error(tmp_path, text):
    (tmp_path / "a.avsc").write_text(text)
    with pytest.raises(InputError):
        Decoder([str(tmp_path / "a.avsc")])


def test_schemas_with_and_without_ids_contradict_each_other(schema):
    for given in ([schema, schema], [schema, f"1={schema}"]):
        with pytest.raises(InputError):
            Decoder(given)

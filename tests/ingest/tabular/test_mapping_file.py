"""A mapping from a TOML file, a dictionary or options: what it may hold, what precedes, and hostile files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photogenic.ingest.tabular.mapping_file import FileMapping, mapping_from, mapping_of, read_mapping
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles

WHOLE = """
[columns]
sender_id = "from_member"
recipient_id = "To Member"
swiped_at = "event.at"

[values.liked]
boost = true
snooze = false
"n/a" = ""

[units]
swiped_at = "ms"
"""
MAPPING = FileMapping(
    {"sender_id": "from_member", "recipient_id": "To Member", "swiped_at": "event.at"},
    {"liked": {"boost": True, "snooze": False, "n/a": None}},
    {"swiped_at": "ms"},
)


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "swipes.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_whole_file(tmp_path):
    assert read_mapping(written(tmp_path, WHOLE), "swipes") == MAPPING
    assert mapping_of("swipes", str(written(tmp_path, "\n"))) == FileMapping()


def test_rows_are_read_as_the_file_says(tmp_path):
    store = StoreWithFiles(tmp_path)
    path = written(tmp_path, WHOLE)
    text = '{"from_member": "a", "To Member": "b", "liked": "Boost", "event": {"at": 1704067200000}}\n'
    text += '{"from_member": "c", "To Member": "d", "liked": "n/a", "event": {"at": 1}}\n'
    account = store.take_text("swipes", text, "swipes.ndjson", mapping=path)
    assert (account.n_new, account.refused) == (1, {"bad_liked": 1})
    assert store.take_text("swipes", text, "swipes.ndjson", mapping=MAPPING).repeated
    path.rename(tmp_path / "other.toml")
    assert store.take_text("swipes", text, "swipes.ndjson", mapping=tmp_path / "other.toml").repeated


def test_dictionaries_of_columns_alone_and_of_tables():
    assert mapping_of("users", {"user_id": "m"}) == FileMapping({"user_id": "m"})
    tables = {"columns": {"user_id": "m"}, "values": {"gender": {"D": "OTHER", 3: "female", "q": "unknown"}}}
    expected = FileMapping({"user_id": "m"}, {"gender": {"D": "other", "3": "female", "q": None}})
    assert mapping_of("users", tables) == mapping_of("users", expected) == expected
    assert mapping_of("users") == FileMapping()


def test_arguments_precede_the_file_word_by_word(tmp_path):
    found = mapping_of(
        "swipes", written(tmp_path, WHOLE), values={"liked": {"boost": False, "new": True}}, units={"swiped_at": "s"}
    )
    assert found.columns == MAPPING.columns
    assert found.values == {"liked": {"boost": False, "snooze": False, "n/a": None, "new": True}}
    assert found.units == {"swiped_at": "s"}
    assert (MAPPING | FileMapping({"sender_id": "x"})).columns["sender_id"] == "x"


def test_the_key_is_that_of_earlier_versions_for_columns_alone():
    assert FileMapping({"b": "2", "a": "1"}).key() == [[("a", "1"), ("b", "2")]]
    assert FileMapping().key() == [[]]
    keys = [repr(FileMapping(*parts).key()) for parts in [({}, {"liked": {"x": True}}), ({}, {"liked": {"x": None}})]]
    keys += [repr(MAPPING.key()), repr(FileMapping(units={"swiped_at": "s"}).key()), repr(FileMapping().key())]
    assert len(set(keys)) == len(keys)
    assert FileMapping(values={"liked": {}}).key() == FileMapping().key()


WRONG = {
    "colums = {}": "swipes.toml: 'colums' is not known.",
    "columns = 3": "swipes.toml: columns is 3.",
    "[[columns]]\na = 1": "swipes.toml: columns is [{'a': 1}].",
    '[columns]\nsendr_id = "a"': "swipes.toml: swipes have no column 'sendr_id'.",
    "[columns]\nsender_id = 1979-05-27": "swipes.toml: columns.sender_id is datetime.date(1979, 5, 27).",
    '[columns]\nsender_id = ""': "swipes.toml: columns.sender_id is ''.",
    'columns.sender_id.x = "a"': "swipes.toml: columns.sender_id is {'x': 'a'}.",
    '[values]\nliked = "boost"': "swipes.toml: values.liked is 'boost'.",
    '[values.liked]\nboost = "yes"': "swipes.toml: values.liked.'boost' is 'yes'.",
    "[values.liked]\nboost = 1": "swipes.toml: values.liked.'boost' is 1.",
    '[values.liked]\n" " = true': "swipes.toml: values.liked has the word ' '.",
    '[values.liked]\n"a\\u0000" = true': "swipes.toml: values.liked has the word 'a\\x00'.",
    '[values.sender_id]\nbot = "b"': "swipes.toml: values.sender_id.'bot' is 'b'.",
    '[units]\nswiped_at = "weeks"': "swipes.toml: units.swiped_at is 'weeks'.",
    '[units]\nswiped_at = ["s"]': "swipes.toml: units.swiped_at is ['s'].",
    '[units]\nliked = "s"': "swipes.toml: units.liked has a unit, but is no time.",
    '[columns]\nx = "': "swipes.toml is not TOML",
    b'[columns]\nsender_id = "\xff"': "swipes.toml is not UTF-8, at byte 23.",
    "a = " + "[" * 900 + "]" * 50: "swipes.toml is n",
    "a = [" + "[],\n" * 200_000 + "]": "swipes.toml is too large.",
    "columns" + ".a" * 50_000 + " = 1": "swipes.toml is too large.",
    "".join(f"[values.liked.a{n}" + ".a" * 400 + "]\n" for n in range(20)): "swipes.toml: values.liked.'a0' is {'a'",
    "[values.liked]\n" + "".join(f"w{n} = true\n" for n in range(1001)): "values.liked has 1,001 words.",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: str(text[:30]))
def test_what_is_wrong_is_named_with_the_file_and_the_key(tmp_path, text):
    with pytest.raises(InputError) as caught:
        read_mapping(written(tmp_path, text), "swipes")
    assert WRONG[text] in caught.value.what
    assert caught.value.expected
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a file"):
            read_mapping(path, "swipes")
    for path in (tmp_path / "none", Path("a\0b"), tmp_path / ("x" * 300), tmp_path / "none" / "none"):
        with pytest.raises(InputError, match="cannot be read"):
            read_mapping(path, "swipes")


def test_messages_of_options_name_the_column_alone():
    for table, message in {
        "columns": "swipes have no column 'who'.",
        "values": "swipes have no column 'who'.",
        "units": "swipes have no column 'who'.",
    }.items():
        with pytest.raises(InputError) as caught:
            mapping_from({table: {"who": {}}}, "swipes", "")
        assert caught.value.what == message
    with pytest.raises(InputError, match=r"^photogenic\.toml: mappings\.swipes: columns\.liked is 3\."):
        mapping_from({"columns": {"liked": 3}}, "swipes", "photogenic.toml: mappings.swipes")


def test_text_that_utf8_cannot_hold_is_refused():
    with pytest.raises(InputError, match="has the word"):
        mapping_of("swipes", values={"liked": {"\udcff": True}})
    with pytest.raises(InputError, match="sender_id is"):
        mapping_of("swipes", {"sender_id": "\udcff"})

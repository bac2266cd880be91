"""A TOML file of any content: the keys have their lines, and what is no such file is refused with one message."""

import os

import pytest

from photogenic.warehouse import InputError
from photogenic.warehouse.toml_file import read_toml, shown

TEXT = """
store = "s"

[labels]
window = "every"
"min_swipes" = 3

[[sources]]
kind = "users"
[[sources]]
kind = "swipes"
"""


def test_keys_have_their_lines(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    toml = read_toml(path, "file")
    assert toml.table["labels"] == {"window": "every", "min_swipes": 3}
    places = [("", "store"), ("labels", "window"), ("labels", "min_swipes"), ("labels", "kind"), ("", "window")]
    assert [toml.line_of(*place) for place in places] == [2, 5, 6, None, None]
    assert [toml.line_of("sources", "kind", n) for n in (0, 1, 2)] == [9, 11, None]
    assert (toml.where("labels", "window"), toml.where("x", "y")) == (f"{path}:5", str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \n", r"is not TOML: Invalid value \(at line 2"),
        (b"a = '\xff'", "is not UTF-8, at byte 5"),
        (b"\x00", "is not TOML"),
        (b"a = " + b"[" * 1500 + b"]" * 400, "is not TOML|nested too deeply"),
        (b"a = " + b"1" * 1900 + b"\n" + b"#" * 300_000, "is too large"),
        (b"a" + b".a" * 5000 + b" = 1", "is too large"),
        (b"#\n" * 200_000, "is too large"),
    ],
)
def test_what_is_no_file_of_settings_is_refused(tmp_path, content, message):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_toml(path, "file")
    assert len(str(error.value)) < 500


def test_a_number_with_many_digits(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 0x" + "f" * 1900)
    assert shown(read_toml(path, "file").table["a"]) == "a number of 7,600 bits"


def test_a_pipe_a_folder_and_what_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for path, message in (
        (tmp_path / "pipe", "is not a file"),
        (tmp_path, "is not a file"),
        (tmp_path / "gone", "cannot be read: No such file"),
        (tmp_path / "a\0b", "cannot be read: embedded null"),
        (tmp_path / "pipe" / "x", "cannot be read: Not a directory"),
    ):
        with pytest.raises(InputError, match=message) as error:
            read_toml(path, "file")
        assert "\0" not in str(error.value)

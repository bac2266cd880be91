"""Files of a project folder: hostile ones are named, and the others are read."""

import os

import pytest

from photogenic.warehouse import InputError
from photogenic.warehouse.definitions import folder as reading
from photogenic.warehouse.definitions.folder import project_id_in, read_folder


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "lab/relations").mkdir(parents=True)
    (tmp_path / "lab/relations/good.sql").write_text("select 1")
    return tmp_path / "lab"


def read(lab):
    return read_folder(lab, "id", "lab", {}, may_run=False)


def unreadable(lab):
    """Read the folder, of which one file is hostile, and return the message about it."""
    project = read(lab)
    assert project.relations == {"good": "select 1"}
    ((file, why),) = project.unreadable.items()
    return file, why


def test_files_are_sorted_by_folder_and_ending(lab):
    for file in ("audits/fits.sql", "relations/good.examples.toml", "training_sets/set_1.toml", "features.py"):
        (lab / file).parent.mkdir(exist_ok=True)
        (lab / file).write_text(file)
    for ignored in ("relations/.#good.sql", "relations/good.sql~", "relations/notes.md", "audits/x.toml"):
        (lab / ignored).write_text("")
    project = read(lab)
    assert (project.relations, project.audits) == ({"good": "select 1"}, {"fits": "audits/fits.sql"})
    assert (set(project.examples), set(project.training_sets)) == ({"good"}, {"set_1"})
    assert (project.code, project.unreadable) == (lab / "features.py", {})


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_text(lab):
    (lab / "relations/good.sql").write_bytes(b"\xef\xbb\xbfselect\r\n1")
    assert read(lab).relations == {"good": "select\n1"}


def test_a_file_that_is_not_utf8_is_named(lab):
    (lab / "relations/bad.sql").write_bytes("select 'é'".encode("latin-1"))
    file, why = unreadable(lab)
    assert file == "relations/bad.sql"
    assert why.startswith(f"The definition {lab}/relations/bad.sql is not UTF-8, at byte 8.\nExpected: SQL in UTF-8\n")
    assert set(read(lab).unreadable_names("relations")) == {"bad"}


@pytest.mark.parametrize("text", ["--" + "x\n" * (5 << 20), "select '" + "x" * 9000 + "'"], ids=["10 MB", "one line"])
def test_a_large_file_is_named(lab, text):
    (lab / "relations/bad.sql").write_text(text)
    assert "is too large" in unreadable(lab)[1]


def test_a_link_out_of_the_folder_is_not_read(lab):
    (lab.parent / "secret.sql").write_text("a secret")
    (lab / "relations/bad.sql").symlink_to(lab.parent / "secret.sql")
    _, why = unreadable(lab)
    assert why.startswith(f"{lab}/relations/bad.sql is a link to {lab.parent}/secret.sql, which lies outside")
    assert "a secret" not in why


def test_a_link_inside_the_folder_and_a_link_to_the_folder_are_read(lab):
    (lab / "relations/copy.sql").symlink_to("good.sql")
    (lab.parent / "link").symlink_to(lab)
    project = read(lab.parent / "link")
    assert set(project.relations) == {"good", "copy"}
    assert project.path == lab


def test_a_folder_of_definitions_that_is_a_link_out_gives_none(lab):
    (lab.parent / "outside").mkdir()
    (lab.parent / "outside/no_row.sql").write_text("a secret")
    (lab / "audits").symlink_to(lab.parent / "outside")
    assert unreadable(lab)[0] == "audits/no_row.sql"
    assert read(lab).audits == {}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nothing")])
def test_what_is_no_file_is_named_and_not_waited_for(lab, make):
    make(lab / "relations/bad.sql")
    file, why = unreadable(lab)
    assert file == "relations/bad.sql"
    assert "is not a file" in why or "cannot be read: No such file" in why


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Likes", "likes"),
        ("my relation", "my_relation"),
        ("2024", "r_2024"),
        ("größe", "gr_e"),
        ("a;drop table x", "a_drop_table_x"),
        ("x" * 64, "x" * 63),
        ("--", "name"),
    ],
)
def test_a_name_that_no_relation_can_have_is_named_with_a_better_one(lab, name, better):
    (lab / f"relations/{name}.sql").write_text("")
    file, why = unreadable(lab)
    assert file == f"relations/{name}.sql"
    assert "cannot be the name of a definition" in why
    assert why.rstrip("'").endswith(f"{better}.sql")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(lab):
    (lab / "relations/bad.sql").touch(mode=0)
    assert "cannot be read: Permission denied" in unreadable(lab)[1]


def test_a_python_file_that_is_a_link_out_is_no_code(lab):
    (lab.parent / "evil.py").write_text("")
    (lab / "features.py").symlink_to(lab.parent / "evil.py")
    assert unreadable(lab)[0] == "features.py"
    assert read(lab).code is None


def test_very_many_files_are_refused(lab, monkeypatch):
    monkeypatch.setattr(reading, "MOST_FILES", 3)
    for n in range(3):
        (lab / f"relations/r{n}.sql").touch()
    with pytest.raises(InputError, match=r"has 4 files \*\.sql\.\nExpected: at most 3"):
        read(lab)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[project]\nname = "x"\nid = "abc"', "abc"),
        ("[project]\nid = 3", None),
        ("project = 3", None),
        ("[proj", None),
        (None, None),
    ],
)
def test_the_id_in_a_folder(tmp_path, text, found):
    if text is not None:
        (tmp_path / "photogenic.toml").write_text(text)
    assert project_id_in(tmp_path) == found

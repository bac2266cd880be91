"""Which project a command works in, and what is said where it cannot be one."""

import os
import shutil
from pathlib import Path

import pytest

from photogenic import FeatureStore
from photogenic.config.file import load_config
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import ConflictError

ID = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def project(folder, more="", *, before="", identity=ID):
    folder = Path(folder)
    (folder / "relations").mkdir(parents=True, exist_ok=True)
    text = f'{before}\n[project]\nname = "{folder.name}"\nid = "{identity}"\n{more}'
    (folder / "photogenic.toml").write_text(text)
    return folder


def found(**given):
    section = load_config(**given).project
    return section and section.folder.name


def test_the_working_folder_or_the_nearest_above_is_the_project(monkeypatch):
    project("outer")
    project("outer/a/inner")
    Path("outer/a/b").mkdir()
    Path("outer/a/inner/relations/deep").mkdir()
    assert found() is None
    for folder, name in [("outer", "outer"), ("a", "outer"), ("b", "outer"), ("../inner", "inner")]:
        monkeypatch.chdir(folder)
        assert found() == name
    monkeypatch.chdir("relations/deep")
    assert found() == "inner"


def test_the_store_of_a_project_starts_from_its_folder(monkeypatch):
    project("lab")
    monkeypatch.chdir("lab/relations")
    assert Path(FeatureStore().layout.root).resolve() == Path.cwd().parent / "store"
    project("..", before="store = '../elsewhere'")
    assert Path(FeatureStore().layout.root).resolve() == Path.cwd().parents[1] / "elsewhere"
    monkeypatch.setenv("FEATURES_STORE", "named")
    assert FeatureStore(project="..").layout.root == Path("named")


def test_a_found_project_of_another_store_is_passed_over_and_a_named_one_is_not(monkeypatch):
    project("outer", before="store = 'right'")
    project("outer/inner", before="store = 'wrong'")
    monkeypatch.chdir("outer/inner")
    assert found() == found(store="wrong") == "inner"
    assert found(store="../right") == "outer"
    assert found(store="../third") is None
    assert found(store="../right", project=".") == "inner"
    assert FeatureStore("../right", project=".").layout.root == Path("../right")


def test_settings_in_the_working_folder_without_a_project_count_there(monkeypatch):
    project("lab")
    Path("lab/sub").mkdir()
    Path("lab/sub/photogenic.toml").write_text("[labels]\nmin_swipes = 7")
    Path("lab/sub/deep").mkdir()
    monkeypatch.chdir("lab/sub")
    assert (found(), load_config().labels) == (None, {"min_swipes": 7})
    monkeypatch.chdir("deep")
    assert (found(), load_config().labels) == ("lab", {})


def test_a_project_beside_the_store_counts_last():
    project("lab")
    assert found(store="lab/store") == "lab"
    assert found(store="lab/other") is None


def test_a_project_above_that_anybody_could_have_made_is_passed_over(monkeypatch):
    project("shared").chmod(0o777)
    Path("shared/mine").mkdir()
    monkeypatch.chdir("shared/mine")
    assert found() is None
    Path("..").chmod(0o755)
    assert found() == "shared"


def test_a_link_to_the_working_folder_finds_the_real_folder(monkeypatch):
    project("lab")
    Path("link").symlink_to("lab")
    assert load_config(project="link").project.folder == Path.cwd() / "lab"
    monkeypatch.chdir("link")
    assert load_config().project.folder.name == "lab"


def test_a_removed_working_folder_has_no_project(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert load_config().project is None


def test_argument_before_command_line_before_environment(monkeypatch):
    for name in ("one", "two", "three"):
        project(name)
    monkeypatch.setenv("FEATURES_PROJECT", "one")
    assert (found(), load_config().project.named_by) == ("one", "FEATURES_PROJECT")
    monkeypatch.setattr("photogenic.config.file._of_command_line", (None, Path("two")))
    assert (found(), load_config().project.named_by) == ("two", "--project")
    assert (found(project="three"), load_config(project="three").project.named_by) == ("three", "project=")
    assert found(path="one/photogenic.toml") == "one"
    monkeypatch.setenv("FEATURES_CONFIG", "no-such-file")
    assert found() == "two"


def test_a_file_and_another_project_contradict_each_other(monkeypatch):
    project("lab")
    Path("other.toml").write_text("")
    assert found(path="lab/photogenic.toml", project="lab") == "lab"
    with pytest.raises(ConflictError, match=r"other\.toml is named .* and lab as the project"):
        load_config("other.toml", project="lab")
    monkeypatch.setenv("FEATURES_CONFIG", "other.toml")
    assert found(project="lab") == "lab"
    monkeypatch.setenv("FEATURES_PROJECT", "lab")
    with pytest.raises(ConflictError, match="and no --config"):
        load_config()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("absent", r"project= names absent, which is not there\.\nExpected: .*\nTry: features init absent"),
        ("a file", r"names a file, which is a file\.\n.*\nTry: features init photo-lab"),
        ("lab/photogenic.toml", r"which is a file\.\n.*\nTry: --project lab"),
        ("empty", r"names empty, which has no photogenic.toml\.\n.*\nTry: features init empty"),
        ("plain", r"names plain, which has a photogenic.toml without the section \[project\]"),
    ],
)
def test_a_folder_that_is_named_and_is_no_project_is_refused(named, message):
    project("lab")
    Path("a file").write_text("")
    Path("empty").mkdir()
    Path("plain").mkdir()
    Path("plain/photogenic.toml").write_text("store = 's'")
    with pytest.raises(InputError, match=message):
        FeatureStore(project=named)


@pytest.mark.parametrize("damage", ["no toml", "folder", "unreadable"])
def test_a_damaged_project_above_is_not_passed_over_in_silence(monkeypatch, damage):
    file = project("lab") / "photogenic.toml"
    if damage == "no toml":
        file.write_text("[project]\nname = ")
    elif damage == "unreadable":
        monkeypatch.setattr("photogenic.config.file._has_section", lambda _: True)
        file.unlink()
        file.symlink_to("nothing")
    else:
        file.unlink()
        file.mkdir()
    monkeypatch.chdir("lab/relations")
    if damage == "folder":  # it is no file of settings
        assert found() is None
        return
    with pytest.raises(InputError, match=r"lab/photogenic\.toml"):
        load_config()


def test_a_pipe_above_is_not_waited_for(monkeypatch):
    Path("lab/deep").mkdir(parents=True)
    os.mkfifo("lab/photogenic.toml")
    monkeypatch.chdir("lab/deep")
    assert found() is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[project]\nid = 'abcdefgh'", r"toml:1: name is None\.\n.*\nTry: name = \"lab\"|name is None"),
        ("[project]\nname = ''\nid = 'abcdefgh'", r"toml:2: name is ''\."),
        ("[project]\nname = 'a\\u0007'\nid = 'abcdefgh'", None),
        ("[project]\nname = \"a\\u0007\"\nid = 'abcdefgh'", r"toml:2: name is 'a\\x07'\."),
        (
            "[project]\nname = 'x'",
            r"id is None\.\nExpected: 8 to 64 letters, digits, - and _\nTry: id = \"[0-9a-f]{16}\"",
        ),
        ("[project]\nname = 'x'\nid = '../../etc'", r"toml:3: id is '\.\./\.\./etc'\."),
        ("[project]\nname = 'x'\nid = 'abcdefgh'\nmodule = 'm'", r"toml:4: 'module' would run code"),
        ("[project]\nname = 'x'\nid = 'abcdefgh'\nidd = 1", r"toml:4: \[project\] has no key 'idd'"),
        ("project = 3", r"toml:1: project is 3\.\nExpected: a table: \[project\]"),
    ],
)
def test_a_section_that_is_wrong_names_its_line(section, message):
    Path("lab").mkdir()
    Path("lab/photogenic.toml").write_text(section)
    if message is None:
        assert load_config(project="lab").project.name == "a\\u0007"
        return
    with pytest.raises(InputError, match=message):
        load_config(project="lab")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[parameters.activty]\ndays = 7",
            r"toml:\d+: the project has no relation 'activty'\.\n.*: one of activity\n.*activity\]",
        ),
        ("[parameters.activity]\nDays = 7", r"'Days' cannot be the name of a parameter\."),
        ("[parameters.activity]\ndays = [7]", r"days is a list\.\nExpected: a number, a text"),
        ("[parameters.activity]\ndays = nan", r"days is nan\."),
        ("[parameters.activity]\ndays = 9223372036854775808", r"days is 9223372036854775808\."),
        ("[parameters.activity]\ndays = 10:00:00", r"days is datetime.time"),
        ("[parameters]\nactivity = 7", r"activity is 7\.\nExpected: a table: \[parameters.activity\]"),
        ("[parameters.'../x']\ndays = 7", r"the project has no relation '\.\./x'"),
    ],
)
def test_a_parameter_that_is_wrong_names_its_line(text, message):
    (project("lab", text) / "relations/activity.sql").write_text("")
    with pytest.raises(InputError, match=message):
        load_config(project="lab")


def test_parameters_keep_their_types_and_reach_the_store():
    text = "[parameters.activity]\ndays = 7\nshare = 0.5\nword = 'x'\nall = true\nsince = 2024-01-01\n"
    (project("lab", text + "at = 2024-01-01T02:00:00+02:00\n") / "relations/activity.sql").write_text("")
    values = FeatureStore(project="lab").store.project.parameters["activity"]
    assert {name: str(value) for name, value in values.items()} == {
        "days": "7",
        "share": "0.5",
        "word": "x",
        "all": "True",
        "since": "2024-01-01",
        "at": "2024-01-01 00:00:00",
    }


def test_parameters_outside_a_project_are_refused():
    Path("photogenic.toml").write_text("[parameters.activity]\ndays = 7")
    with pytest.raises(InputError, match=r"toml:1: \[parameters\] are for relations of a project"):
        load_config()


def test_the_settings_list_the_project_and_its_parameters(monkeypatch):
    (project("lab", "[parameters.activity]\ndays = 7") / "relations/activity.sql").write_text("")
    shutil.copytree("lab", "copy")
    monkeypatch.setenv("FEATURES_PROJECT", "lab")
    rows = {row["setting"]: row for row in FeatureStore().config().to_dicts()}
    file = f"{Path.cwd() / 'lab/photogenic.toml'}"
    shown = {name: tuple(row.values())[1:] for name, row in rows.items()}
    assert shown["config"] == (file, "environment", "FEATURES_PROJECT")
    assert shown["project"] == (str(Path.cwd() / "lab"), "environment", "FEATURES_PROJECT")
    assert shown["project.name"] == ("lab", "file", f"{file}:3")
    assert shown["project.id"] == (ID, "file", f"{file}:4")
    assert shown["project.runs_code"][0] == "true"
    assert shown["parameters.activity.days"] == ("7", "file", f"{file}:6")
    monkeypatch.delenv("FEATURES_PROJECT")
    monkeypatch.chdir("copy")
    copied = {row["setting"]: row["value"] for row in FeatureStore().config().to_dicts()}
    assert (copied["project"], copied["project.runs_code"]) == (str(Path.cwd()), "false")

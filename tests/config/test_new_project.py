"""`features init`: what it makes, what it leaves alone, and what it refuses."""

import os
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.config import new_project
from photogenic.models.data.samples import Samples
from photogenic.models.data.targets import TARGETS
from photogenic.models.heads.base import FitData, FitSettings
from photogenic.models.heads.registry import head
from photogenic.warehouse import InputError
from photogenic.warehouse.definitions.trust import is_allowed
from photogenic.warehouse.errors import ConflictError, StoreError
from photogenic.warehouse.user_modules import use_project_module
from tests.models.planted import QUICK

init = FeatureStore.init_project
FILES = {
    "audits/likes_are_swipes.sql",
    "features.py",
    "photogenic.toml",
    "relations/owner_activity.examples.toml",
    "relations/owner_activity.sql",
    "relations/photo_success.sql",
    "relations/photo_turns.sql",
    "training_sets/first_impressions.toml",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def contents(folder):
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_a_new_project_has_every_file_and_a_second_call_changes_nothing():
    done = init("labs/Photo Lab")
    assert set(done.made) == FILES == set(contents("labs/Photo Lab"))
    assert (done.kept, done.name, done.may_run) == ((), "Photo Lab", True)
    before = contents("labs/Photo Lab")
    again = init("labs/Photo Lab")
    assert (again.made, set(again.kept), again.project_id) == ((), FILES, done.project_id)
    assert contents("labs/Photo Lab") == before
    assert init("other").project_id != done.project_id


def test_its_definitions_are_read_and_nothing_is_unreadable():
    init("lab")
    project = FeatureStore(project="lab").store.project
    assert set(project.relations) == {"owner_activity", "photo_success", "photo_turns"}
    assert (set(project.audits), set(project.examples)) == ({"likes_are_swipes"}, {"owner_activity"})
    assert (set(project.training_sets), project.unreadable) == ({"first_impressions"}, {})
    for text in (*project.examples.values(), *project.training_sets.values()):
        assert tomllib.loads(text)


def test_a_store_beside_the_working_folder_is_its_store(monkeypatch):
    assert init("first").store == Path("first/store")
    Path("store").mkdir()
    assert os.path.realpath(init("labs/second").store) == str(Path.cwd() / "store")
    assert tomllib.loads(Path("labs/second/photogenic.toml").read_text())["store"] == "../../store"
    assert init("third", store="data/s").store == Path("third/../data/s")
    assert init("fourth", store="/data/s").store == Path("/data/s")
    monkeypatch.setenv("FEATURES_STORE", "of the environment")
    CliRunner().invoke(program, ["init", "fifth"])
    assert tomllib.loads(Path("fifth/photogenic.toml").read_text())["store"] == "../of the environment"


def test_the_store_of_the_project_around_it_is_not_taken(monkeypatch):
    init("outer", store="mine")
    monkeypatch.chdir("outer")
    assert CliRunner().invoke(program, ["init", "inner"]).exit_code == 0
    assert tomllib.loads(Path("inner/photogenic.toml").read_text())["store"] == "store"


def test_files_that_are_there_stay(tmp_path):
    Path("lab/relations").mkdir(parents=True)
    Path("lab/features.py").write_text("mine = 1")
    Path("lab/relations/owner_activity.sql").write_text("mine")
    done = init("lab")
    assert set(done.made) == FILES - {"features.py", "relations/owner_activity.sql"}
    assert Path("lab/features.py").read_text() == "mine = 1"
    assert Path("lab/relations/owner_activity.sql").read_text() == "mine"


def test_a_project_that_is_there_gets_no_examples_again():
    init("lab")
    for name in FILES - {"photogenic.toml"}:
        Path("lab", name).unlink()
    Path("lab/audits").rmdir()
    done = init("lab")
    assert (done.made, done.kept) == (("audits/",), ("photogenic.toml",))


def test_a_killed_command_is_completed_by_the_next(monkeypatch):
    written, write = [], new_project.write_atomically

    def killed(path, data):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(new_project, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            init("lab")
    assert not Path("lab/photogenic.toml").exists()
    assert len(init("lab").made) == len(FILES) - 3
    assert set(contents("lab")) == FILES


@pytest.mark.parametrize("name", ["Photo Lab", "größe", "a'b\"c", "new\nline", "-x", "l" * 100, "[project]", "日本"])
def test_a_folder_of_any_name_is_a_project(name):
    init(f"./{name}")
    config = FeatureStore(project=f"./{name}").config_file
    assert config.project.folder.name == name
    assert config.project.name == name.replace("\n", "_")[:60]
    assert config.store == Path(f"./{name}/store")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda lab: lab.write_text(""), r"lab is a file\.\nExpected: a folder, or a name that is free"),
        (lambda lab: lab.symlink_to("nothing"), r"lab is a link to nothing\."),
        (lambda lab: (lab.mkdir(), (lab / "relations").write_text("")), r"lab/relations is a file\."),
        (lambda lab: (lab.mkdir(), (lab / "audits").symlink_to("/tmp")), r"lab/audits is a link to /tmp, outside"),
        (lambda lab: (lab.mkdir(), (lab / "photogenic.toml").write_text("stroe = 1")), r"toml:1: the file has no key"),
        (
            lambda lab: (lab.mkdir(), (lab / "photogenic.toml").write_text("store = 's'")),
            r"no section \[project\], and features init changes no file\.\n(?s:.*)\[project\]\nname = \"lab\"\nid = ",
        ),
    ],
)
def test_what_cannot_be_a_project_is_refused_and_left_alone(make, message):
    make(Path("lab"))
    before = sorted(map(str, Path.cwd().rglob("*")))
    with pytest.raises(InputError, match=message):
        init("lab")
    assert sorted(map(str, Path.cwd().rglob("*"))) == before


def test_the_lines_that_it_asks_for_make_the_folder_a_project():
    Path("lab").mkdir()
    Path("lab/photogenic.toml").write_text("store = 's'\n")
    with pytest.raises(InputError) as refused:
        init("lab")
    with Path("lab/photogenic.toml").open("a") as file:
        file.write(refused.value.expected.partition(":\n")[2])
    assert init("lab").name == "lab"


def test_two_commands_at_once_make_one_project():
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(init, ["lab"] * 4))
    assert len({one.project_id for one in done}) == 1
    assert sorted(name for one in done for name in one.made) == sorted(FILES)
    assert set(contents("lab")) == FILES
    assert is_allowed(Path("lab"), done[0].project_id)


def test_without_hard_links_the_files_are_written_too(monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError))
    assert set(init("lab").made) == FILES == set(contents("lab"))


@pytest.mark.parametrize("name", ["", "a\0b", "lab-\udcff", "what?", "a\\b"])
def test_names_that_no_folder_or_store_can_have_are_refused(name):
    with pytest.raises((InputError, StoreError)):
        init(name)
    assert list(Path.cwd().iterdir()) == []


def test_the_root_of_the_file_system_is_no_project():
    with pytest.raises(InputError, match="root of the file system"):
        new_project._usable("/")


def test_a_store_whose_name_no_file_system_takes_is_refused():
    with pytest.raises(StoreError, match="too long"):
        init("lab", store="s" * 300)
    assert list(Path.cwd().iterdir()) == []


def test_an_empty_name_on_the_command_line_is_no_folder():
    result = CliRunner().invoke(program, ["init", ""])
    assert isinstance(result.exception, InputError)
    assert list(Path.cwd().iterdir()) == []


def test_with_a_store_elsewhere_the_folder_may_have_a_name_that_no_store_can_have(tmp_path):
    assert init("lab-\udcff?", store=tmp_path / "store").name == "lab-_?"
    assert FeatureStore(project="lab-\udcff?").store.project.place == str(tmp_path / "lab-\\udcff?")


def test_another_store_than_that_of_the_project_is_refused():
    init("lab")
    assert init("lab", store="lab/store").made == ()
    with pytest.raises(ConflictError, match=r"lab/photogenic.toml:4 names the store lab/store, and features init"):
        init("lab", store="other")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named():
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="closed/lab cannot be made"):
        init("closed/lab")


def test_without_a_state_folder_the_project_is_made_and_the_rest_is_said(monkeypatch, tmp_path):
    (tmp_path / "state").write_text("a file")
    done = CliRunner().invoke(program, ["init", "lab"])
    assert done.exit_code == 0
    assert "features.py runs only with --project lab" in done.stderr
    assert not is_allowed(tmp_path / "lab", FeatureStore(project="lab").config_file.project.project_id)


def test_the_command_prints_what_it_made_and_what_comes_next():
    done = CliRunner().invoke(program, ["init", "my lab", "--format", "csv"])
    assert done.stdout.splitlines()[0] == "file,state"
    assert set(done.stdout.splitlines()[1:]) == {f"{name},made" for name in FILES}
    assert "cd 'my lab'" in done.stderr
    assert re.search(r"^  features build$", done.stderr, re.MULTILINE)
    again = CliRunner().invoke(program, ["init", "my lab", "--format", "csv"])
    assert set(again.stdout.splitlines()[1:]) == {f"{name},kept" for name in FILES}


def test_the_head_in_its_python_learns_when_the_marks_are_removed():
    init("lab")
    code = Path("lab/features.py")
    before, _, marked = code.read_text().partition("# A head of your own")
    lines = marked.splitlines()[1:]
    assert all(line.startswith("#") for line in lines)
    code.write_text("\n".join([before, *(line[2:] for line in lines)]))
    use_project_module(code)
    try:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(90, 4)).astype(np.float32)
        samples = Samples(
            photo_ids=np.array([f"p{n}" for n in range(90)]),
            user_ids=np.array([f"u{n}" for n in range(90)]),
            X=X,
            y=(0.5 + X[:, 0] / 10).astype(np.float32),
            weight=np.ones(90, np.float32),
            gender=np.full(90, ""),
            split=np.array(["train"] * 60 + ["dev"] * 15 + ["test"] * 15),
        )
        fit = head("huber").fit(FitData(TARGETS["like_ratio"], samples, [4]), FitSettings(QUICK))
        test = samples.part("test")
        assert np.abs(fit.model.predict(test.X) - test.y).max() < 0.05
    finally:
        use_project_module(None)


def test_its_relations_and_audit_are_computed_as_they_stand(folder):
    init("lab")
    opened = FeatureStore(project="lab")
    opened.build(only="labels")
    names = ("owner_activity", "photo_success", "photo_turns")
    assert opened.sql("select relation, status from own_relations order by all").rows() == [(n, "ok") for n in names]
    assert opened.database.rows("select audit, status from facts.own_audits") == [("likes_are_swipes", "ok")]
    assert opened.sql("from owner_activity order by all").rows() == [
        ("ann", 2, 1, 1),
        ("bob", 4, 2, 1),
        ("cat", 6, 3, 1),
    ]
    assert opened.sql("select photo_id, n_before from photo_turns order by all").rows() == [
        ("p-ann", 0),
        ("p-bob", 0),
        ("p-cat", 0),
    ]
    Path("lab/audits/likes_are_swipes.sql").write_text("wrong")
    FeatureStore(project="lab").build(only="labels")
    assert opened.database.rows("select status from facts.own_audits") == [("failed",)]

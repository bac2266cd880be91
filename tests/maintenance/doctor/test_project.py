"""doctor says when project and store do not fit, and what is wrong with the files of the project."""

import shutil
from pathlib import Path

import pytest

from photogenic import FeatureStore
from photogenic.config.new_project import init_project
from photogenic.maintenance.doctor.project import examine_files, examine_link
from tests.warehouse.small import add_facts, store


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT", "FEATURES_MODULES", "FEATURES_ENCODERS"):
        monkeypatch.delenv(name, raising=False)
    add_facts(store(tmp_path), users=[("ann", "female")], swipes=[("bob", "ann", True, 2)])
    init_project("lab")
    return tmp_path / "lab"


def findings(**given):
    found = FeatureStore(**given).store
    return {one.check: (one.state, one.found, one.remedy) for one in (*examine_files(found), *examine_link(found))}


def test_a_project_that_was_built_fits(lab):
    assert findings(project="lab")["project"] == (
        "note",
        "lab: no build has used its definitions in this store yet",
        "features build",
    )
    FeatureStore(project="lab").build(only="labels")
    assert findings(project="lab") == {
        "project features.py": ("ok", "runs, and can be imported", ""),
        "project": ("ok", f"lab in {lab}", ""),
    }
    assert findings() == {"project": ("ok", f"lab in {lab}", "")}


def test_the_whole_doctor_reports_it(lab):
    FeatureStore(project="lab").build(only="labels")
    (lab / "relations/wrong.sql").write_text("select 1")
    found = {one.check: one for one in FeatureStore(project="lab").doctor()}
    assert found["project relations/wrong.sql"].state == "fault"
    assert found["project"].state == "note"
    without = [one.check for one in FeatureStore("none", project="lab").doctor() if one.check.startswith("project")]
    assert without == ["project features.py"]  # there is no store that the definitions could fit


def test_a_store_without_a_project_has_no_finding():
    assert findings() == {}


def test_another_project_is_a_fault(lab):
    FeatureStore(project="lab").build(only="labels")
    init_project("other")
    state, found, remedy = findings(project="other")["project"]
    assert state == "fault"
    assert found == f"the store has the definitions of lab in {lab}, not of other in {lab.with_name('other')}"
    assert "features build --replace-project" in remedy


def test_changed_new_and_removed_definitions_are_named(lab):
    FeatureStore(project="lab").build(only="labels")
    (lab / "relations/photo_turns.sql").unlink()
    with (lab / "audits/likes_are_swipes.sql").open("a") as file:
        file.write("-- changed\n")
    shutil.copy(lab / "relations/owner_activity.sql", lab / "relations/z.sql")
    state, found, remedy = findings(project="lab")["project"]
    assert (state, remedy) == ("note", "features build")
    assert found == (
        "3 definitions are not those of the last build: relations/photo_turns.sql, relations/z.sql, "
        "audits/likes_are_swipes.sql"
    )
    FeatureStore(project="lab").build(only="labels")
    after = findings(project="lab")
    assert after["project"][0] == "ok"
    assert after["project relations/z.sql"][0] == "fault"  # its first line names another relation


def test_a_folder_that_is_gone_or_has_another_project_is_named(lab):
    FeatureStore(project="lab").build(only="labels")
    shutil.rmtree(lab)
    state, found, remedy = findings()["project"]
    assert (state, remedy[:25]) == ("note", "features build --project ")
    assert found == f"lab: {lab} has no project now; builds use the definitions that the store keeps"
    init_project("lab")
    assert "has another project now" in findings()["project"][1]


def test_a_copy_with_the_same_id_is_named(lab):
    FeatureStore(project="lab").build(only="labels")
    shutil.copytree(lab, lab.with_name("copy"))
    state, found, remedy = findings(project="copy")["project"]
    assert (state, found) == (
        "note",
        f"{lab.with_name('copy')} and {lab} have the same id, and the store was built from the latter",
    )
    assert remedy.startswith("write another id into ")


def test_python_that_may_not_run_is_a_note_and_python_that_fails_a_fault(lab, monkeypatch):
    shutil.copytree(lab, lab.with_name("copy"))
    (lab.with_name("copy") / "features.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(lab.with_name("copy"))
    state, found, remedy = findings()["project features.py"]
    assert (state, remedy) == ("note", f"features init {Path.cwd()}")
    assert found == "does not run: nobody has allowed it on this machine"
    state, found, _ = findings(project=".")["project features.py"]
    assert state == "fault"
    assert found == f"{Path.cwd()}/features.py:1 cannot be imported: SystemExit: 3"


def test_files_that_cannot_be_read_and_sql_that_does_more_than_read_are_faults(lab):
    (lab / "relations/Upper.sql").write_text("")
    (lab / "relations/copies.sql").write_text(
        (lab / "relations/photo_turns.sql").read_text().partition("select\n")[0].replace("photo_turns", "copies")
        + "copy (select 1) to 'file.csv'"
    )
    found = findings(project="lab")
    assert found["project relations/Upper.sql"][0] == found["project relations/copies.sql"][0] == "fault"
    assert found["project relations/Upper.sql"][2].startswith("mv ")
    assert not Path("file.csv").exists()

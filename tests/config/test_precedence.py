"""Later ones win, for every pair: default, last build, file, environment, command line or argument."""

import contextlib
import datetime as dt
import itertools
import os
import subprocess
import sys

import polars as pl
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.config.build import build_options
from photogenic.config.values import ConfigFile
from photogenic.features.build_options import BuildOptions
from photogenic.features.faces.settings import FaceSettings
from photogenic.warehouse import InputError, Settings
from photogenic.warehouse.errors import ConflictError, ThresholdError
from photogenic.warehouse.labels.options import LabelOptions


def n_labels(opened):
    return opened.sql("select count(*) from photo_labels").item()


def in_force(opened, name):
    row = opened.config().row(by_predicate=pl.col("setting") == name, named=True)
    return row["value"], row["origin"]


CHAIN = [("default", "1"), ("last build", "2"), ("file", "3"), ("argument", "4")]


@pytest.mark.parametrize(("low", "high"), [*itertools.combinations(range(4), 2)])
def test_a_label_option_of_each_pair(folder, low, high):
    chosen = {CHAIN[at][0]: int(CHAIN[at][1]) for at in (low, high)}
    if "last build" in chosen:
        FeatureStore("store").build(only="labels", labels={"min_swipes": chosen["last build"]})
    if "file" in chosen:
        (folder / "photogenic.toml").write_text(f"[labels]\nmin_swipes = {chosen['file']}")
    changes = {"labels": {"min_swipes": chosen["argument"]}} if "argument" in chosen else {}
    report = FeatureStore("store").build(only="labels", **changes)
    assert report.labels.options == LabelOptions(min_swipes=int(CHAIN[high][1]))


def test_limits_of_the_file_are_below_the_environment_and_above_the_default(folder, monkeypatch):
    default = Settings.from_environment()
    (folder / "photogenic.toml").write_text("[settings]\nmemory_limit = '600MB'\nthreads = 1\nlock_timeout = 5")
    opened = FeatureStore("store")
    assert opened.database.settings == Settings("600MB", 1, 5)
    assert in_force(opened, "settings.memory_limit") == ("600MB", "file")
    monkeypatch.setenv("FEATURES_MEMORY_LIMIT", "700MB")
    opened = FeatureStore("store")
    assert opened.database.settings == Settings("700MB", 1, 5)
    assert in_force(opened, "settings.memory_limit") == ("700MB", "environment")
    assert FeatureStore("store", settings=default).database.settings == default


def test_label_options_stay_until_they_are_changed(built):
    opened = FeatureStore("store")
    assert n_labels(opened) == 3
    changed = opened.build(only="labels", labels={"min_swipes": 3})
    assert n_labels(opened) == 2
    assert "min_swipes 1 -> 3. 3 labels before: 1 vanish, 0 appear, 0 change value" in "".join(changed.notes)
    plain = opened.build(only="labels")
    assert n_labels(opened) == 2
    assert plain.notes == []
    assert {built.action for built in plain.labels.relations} == {"kept"}
    opened.build(only="labels", labels={"window": "every"})
    assert opened.build(only="labels").labels.options == LabelOptions(min_swipes=3, window="every")
    opened.build(only="labels", labels=LabelOptions(window="every"))  # all of them are given
    assert n_labels(opened) == 3


def test_options_that_change_no_relation_stay_too(built):
    opened = FeatureStore("store")
    opened.build(only="labels", labels={"split_seed": 5})
    opened.build(only="labels", labels={"band_size": 50})
    assert opened.build(only="labels").labels.options == LabelOptions(split_seed=5, band_size=50)


def test_a_plan_says_what_other_options_do(folder):
    opened = FeatureStore("store")
    assert opened.plan(labels={"min_swipes": 3}).label_change is None  # there are no labels yet
    assert opened.label_change(labels={"min_swipes": 3}) is None
    opened.build(only="labels")
    planned = opened.plan(labels={"min_swipes": 3}).label_change
    assert planned == opened.label_change(labels={"min_swipes": 3})
    assert (planned.options, planned.n_labels, planned.n_lost) == ({"min_swipes": (1, 3)}, 3, 1)
    assert opened.label_change() is opened.label_change(only="index", labels={"min_swipes": 3}) is None
    assert opened.build(only="labels", labels={"min_swipes": 3}).labels.change == planned


def test_the_instant_is_no_option_that_stays(folder):
    opened = FeatureStore("store")
    opened.build(only="labels", as_of=dt.datetime(2024, 1, 1), publish=True, labels={"min_swipes": 2})
    assert n_labels(opened) == 0
    opened.build(only="labels")
    assert n_labels(opened) == 3


def test_a_file_without_what_a_step_needs():
    config = ConfigFile(
        build={"encoders": ("dlib_face",), "neighbours": 5, "recall": 0.9},
        faces={"confidence": 0.4},
        labels={"window": "every"},
    )
    chosen = build_options(config, None, {"only": "labels"})
    assert (chosen.encoders, chosen.neighbours, chosen.recall) == (None, None, 0.9)
    assert build_options(config, None, {"only": "index"}).neighbours == 5
    with pytest.raises(ConflictError):
        build_options(config, None, {"only": "labels", "encoders": ["dlib_face"]})
    both = build_options(config, None, {"faces": {"model": "full"}, "labels": {"min_swipes": 2}, "recall": 0.8})
    assert both.faces == FaceSettings("full", 0.4)
    assert (both.labels, both.recall) == ({"window": "every", "min_swipes": 2}, 0.8)
    whole = build_options(config, BuildOptions(recall=0.7, faces=FaceSettings()), {"labels": LabelOptions()})
    assert (whole.recall, whole.faces, whole.labels) == (0.7, FaceSettings(), LabelOptions())
    assert whole.encoders == ("dlib_face",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [({"min_swipe": 3}, "There is no label option 'min_swipe'"), ({"min_swipes": 0}, "--min-swipes is 0")],
)
def test_unknown_label_options_are_refused(folder, labels, message):
    with pytest.raises(InputError, match=message):
        FeatureStore("store").build(only="labels", labels=labels)


def test_sources_and_mappings_of_the_file(folder):
    (folder / "log").mkdir()
    for day in (1, 2):
        (folder / f"log/{day}.csv").write_text(f"who,recipient_id,liked,swiped_at\ndan,ann,boost,2024-03-0{day}\n")
    (folder / "photogenic.toml").write_text(
        "[mappings.swipes.columns]\nsender_id = 'who'\n[mappings.swipes.values.liked]\nboost = true\n"
        "[[sources]]\nkind = 'swipes'\nfiles = ['log/*.csv']\n"
    )
    opened = FeatureStore("store")
    before = opened.sql("select count(*) from swipes").item()
    assert [report.n_new for report in opened.ingest_swipes()] == [1, 1]
    assert opened.sql("select count(*) from swipes").item() == before + 2
    (folder / "other.csv").write_text("from,recipient_id,liked,swiped_at\ndan,ann,1,2024-03-03\n")
    assert opened.ingest_swipes("other.csv", mapping={"sender_id": "from"})[0].n_new == 1
    with pytest.raises(InputError, match=r"No file was named.\nExpected: .*\[\[sources\]\] of kind users"):
        opened.ingest_users()


def test_the_command_line_reads_the_same(folder):
    (folder / "data").mkdir()
    (folder / "store").rename(folder / "data/store")
    (folder / "photogenic.toml").write_text("store = 'data/store'\n[labels]\nmin_swipes = 3\n")

    def run(*words):
        return CliRunner().invoke(program, [str(word) for word in words], catch_exceptions=False)

    assert run("build", "--only", "labels").exit_code == 0
    assert run("sql", "select count(*) as n from photo_labels", "--format", "csv").stdout == "n\n2\n"
    listed = run("config", "--format", "csv").stdout
    assert f"labels.min_swipes,3,file,{folder}/photogenic.toml:3" in listed
    assert f"store,data/store,file,{folder}/photogenic.toml:1" in listed
    (folder / "more.toml").write_text("store = 'data/store'\n[labels]\nmin_swipes = 5\n")
    assert (
        f"labels.min_swipes,5,file,{folder}/more.toml:3"
        in run("config", "--config", "more.toml", "--format", "csv").stdout
    )
    assert run("build", "--only", "labels", "--config", "more.toml", "--yes").exit_code == 0
    assert run("sql", "select count(*) as n from photo_labels", "--format", "csv").stdout == "n\n1\n"


def test_a_shell_completes_ids_of_the_store_of_the_file(folder):
    (folder / "store").rename(folder / "elsewhere")
    (folder / "photogenic.toml").write_text("store = 'elsewhere'")
    asked = {"_FEATURES_COMPLETE": "complete_bash", "COMP_WORDS": "features similar p-", "COMP_CWORD": "2"}
    program = "import sys; sys.argv[0] = 'features'; from photogenic.app.cli.main import main; main()"
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["p-ann", "p-bob", "p-cat"]
    (folder / "photogenic.toml").write_text("stroe = 'elsewhere'")
    done = subprocess.run(words, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(("limit", "is_met"), [("1", False), ("2", True), ("'30%'", False), ("0.5", True)])
def test_limits_of_a_night_hold_in_every_call_and_an_argument_precedes_them(folder, limit, is_met):
    (folder / "photogenic.toml").write_text(f"[checks]\nmax_refused = {limit}\nmax_age = '36500d'\n")
    rows = "dan,ann,yes,2024-03-01\ndan,ann,maybe,2024-03-02\ndan,ann,maybe,2024-03-03\ndan,ann,yes,2024-03-04\n"
    (folder / "night.csv").write_text(f"sender_id,recipient_id,liked,swiped_at\n{rows}")
    words = ["ingest", "swipes", "night.csv", "--store", "store"]
    opened = FeatureStore("store")
    for ingest in (opened.ingest_swipes, lambda *files, **options: opened.ingest("swipes", *files, **options)):
        with contextlib.nullcontext() if is_met else pytest.raises(ThresholdError, match=r"2 of 4 rows of swipes"):
            ingest("night.csv")
        assert len(ingest("night.csv", max_refused="100%")) == 1
        with pytest.raises(ThresholdError):
            ingest("night.csv", max_refused=1)
    assert isinstance(CliRunner().invoke(program, words).exception, ThresholdError) != is_met
    named = [*words, "--max-refused", limit.strip("'")]
    (folder / "photogenic.toml").write_text("")
    assert isinstance(CliRunner().invoke(program, named).exception, ThresholdError) != is_met


def test_checks_of_the_store_have_the_limits_of_the_file(folder):
    (folder / "night.csv").write_text("sender_id,recipient_id,liked,swiped_at\ndan,ann,maybe,2024-03-01\n")
    FeatureStore("store").ingest_swipes("night.csv")
    (folder / "photogenic.toml").write_text("[checks]\nmax_refused = 1\nmax_age = '26h'\n")
    found = {one.name: one for one in FeatureStore("store").check()}
    assert (found["age of labels"].threshold, found["refused swipes"].threshold) == ("at most 26.0 h", "at most 1 row")
    given = {one.name: one for one in FeatureStore("store").check(max_age="2h", max_refused="3%")}
    assert (given["age of labels"].threshold, given["refused swipes"].threshold) == ("at most 2.0 h", "at most 3 %")
    printed = CliRunner().invoke(program, ["status", "--check", "--store", "store", "--format", "csv"])
    assert "at most 26.0 h" in printed.stdout
    assert "at most 1 row" in printed.stdout
    (folder / "photogenic.toml").write_text("")
    assert not {"age of labels", "refused swipes"} & {one.name for one in FeatureStore("store").check()}

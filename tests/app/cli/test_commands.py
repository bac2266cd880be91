"""What each command prints, on a small world without pictures."""

import datetime as dt
import json
import re
import shutil

import polars as pl
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.config.build import build_options
from photogenic.config.values import ConfigFile
from photogenic.features.encoders.openclip_encoders import OPENCLIP
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.search.options import SearchOptions
from photogenic.models.evaluation.leaderboard import Leaderboard
from photogenic.models.evaluation.leaderboard import Table as Ranking
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import InputError, LockedError, StoreError
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.storage.lock import locked

pytestmark = pytest.mark.slow


def run(*arguments):
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"), users=20, swipes=1_000, seed=2, pictures=False)


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    """A store with labels, through the command line only."""
    store = tmp_path_factory.mktemp("commands") / "store"
    for kind, files in (
        ("users", [world.users]),
        ("photos", [world.photos]),
        ("main-photos", [world.main_photos]),
        ("swipes", world.swipes),
    ):
        done = run("ingest", kind, *files, "--store", store)
        assert done.exit_code == 0, done.exception
    done = run("build", "--store", store)
    assert done.exit_code == 0, done.exception
    return store


def test_ingest_prints_an_account_that_adds_up(world, store):
    again = run("ingest", "swipes", *world.swipes, "--store", store)
    assert again.stdout.count("taken in before, nothing to do") == 2
    assert again.stderr == ""


def test_ingest_accounts_as_json(world, tmp_path):
    found = json.loads(run("ingest", "users", world.users, "--store", tmp_path / "s", "--format", "json").stdout)
    (account,) = found
    planted = next(planted for planted in world.truth.accounts if planted.file == "users.csv")
    assert account["n_read"] == account["n_new"] + account["n_known"] + account["n_refused"] == planted.n_read
    assert account["refused"] == planted.refused
    assert account["repeated"] is False


def test_ingest_takes_other_names_for_columns(tmp_path):
    (tmp_path / "users.csv").write_text("member,sex\na,f\n")
    done = run(
        "ingest", "users", tmp_path / "users.csv", "--map", "user_id=member", "--map", "gender=sex", "--store", tmp_path
    )
    assert "1 read = 1 new + 0 corrected + 0 retracted + 0 known + 0 refused" in done.stdout
    with FeatureStore(tmp_path) as opened:
        assert opened.sql("select user_id, gender from users").rows() == [("a", "female")]


def test_a_failed_ingest_changes_nothing(tmp_path):
    missing = run("ingest", "users", tmp_path / "none.csv", "--store", tmp_path / "store")
    assert isinstance(missing.exception, InputError)
    assert run("ingest", "users", tmp_path / "*.csv", "--store", tmp_path / "store").exit_code == 1
    assert not (tmp_path / "store").exists()


def checksums(done):
    return dict(re.findall(r"^(\w+) +(?:computed|updated|kept) +\d+ +([0-9a-f]{16}) ", done.stdout, re.MULTILINE))


def test_build_prints_relations_then_the_funnel(world, store, tmp_path):
    first = run("build", "--store", store, "--only", "labels", "--min-swipes", "2", "--yes")
    assert re.search(r"^photo_labels +computed", first.stdout, re.MULTILINE)
    second = run("build", "--store", store, "--only", "labels", "--min-swipes", "2")
    assert checksums(second) == checksums(first)  # kept relations too, so that two builds can be compared
    assert re.search(r"^photo_labels +kept", second.stdout, re.MULTILINE)
    assert re.search(r"^swipes +1 +ingested", second.stdout, re.MULTILINE)
    assert second.stderr.startswith("Built in ")
    run("build", "--store", store, "--only", "labels", "--label-defaults", "--yes")


def test_build_as_json_is_the_funnel(store):
    steps = json.loads(run("build", "--store", store, "--only", "labels", "--format", "json").stdout)
    assert steps[0]["step"] == "ingested"
    with FeatureStore(store) as opened:
        assert steps[0]["n_swipes"] == opened.sql("select count(*) from swipes").item()


def test_build_as_of_publishes_only_when_told_to(store):
    then = ("--only", "labels", "--as-of", "2000-01-01")
    before = (store / "snapshot.duckdb").read_bytes()
    done = run("build", "--store", store, *then, "--format", "json")
    assert {step["n_swipes"] for step in json.loads(done.stdout) if step["source"] == "swipes"} == {0}
    assert "Nothing was published: these are the labels as of 2000-01-01T00:00:00Z." in done.stderr
    assert "No swipe had happened before 2000-01-01T00:00:00Z" in done.stderr
    assert (store / "snapshot.duckdb").read_bytes() == before
    run("build", "--store", store, *then, "--publish")
    with FeatureStore(store) as opened:
        assert opened.sql("select count(*) from like_ratios").item() == 0
        assert opened.status()["labels"]["as_of"] == "2000-01-01T00:00:00Z"
    assert ", as of 2000-01-01T00:00:00Z; `features build` publishes" in run("status", "--store", store).stdout
    assert "published as of 2000-01-01T00:00:00Z" in run("doctor", "--store", store).stdout
    run("build", "--store", store, "--only", "labels")
    with FeatureStore(store) as opened:
        assert opened.sql("select count(*) from like_ratios").item() > 0
        assert opened.status()["labels"]["as_of"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["--as-of", "yesterday"],
        ["--as-of", "jan=yesterday"],
        ["--as-of", "2024-01-01", "--as-of", "2024-02-01"],
        ["--known-at", "a=2024-01-01", "--known-at", "a=2024-02-01"],
        ["--as-of", "2024-01-01", "--show", "swipes"],
    ],
)
def test_sql_refuses_moments_that_make_no_sense(store, words):
    query = [] if "--show" in words else ["from swipes"]
    assert run("sql", *query, *words, "--store", store).exit_code == 2


def test_build_without_pictures_says_so(store):
    done = run("build", "--store", store)
    assert done.exit_code == 0
    assert "No photo of the store has a picture" in done.stderr


def test_a_plan_says_what_a_build_would_do_and_does_nothing(world, store):
    nothing = run("build", "--plan", "--store", store)
    assert "no rows" in nothing.stdout
    assert "There is nothing to do." in nothing.stderr
    before = (store / "snapshot.duckdb").stat().st_mtime_ns
    planned = json.loads(run("build", "--plan", "--store", store, "--min-swipes", 5, "--format", "json").stdout)
    assert "photo_labels" in {row["what"] for row in planned if row["step"] == "labels"}
    assert (store / "snapshot.duckdb").stat().st_mtime_ns == before


def test_a_step_about_pictures_keeps_the_labels_choices(store, monkeypatch):
    seen = []
    monkeypatch.setattr(FeatureStore, "plan", lambda self, **options: seen.append(options.get("labels")) or 1 / 0)
    run("build", "--plan", "--store", store, "--only", "faces")
    run("build", "--plan", "--store", store, "--only", "faces", "--min-swipes", "3")
    run("build", "--plan", "--store", store)
    assert seen == [None, {"min_swipes": 3}, None]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "labels", "--encoder", "dlib_face"],
        ["--only", "faces", "--flip"],
        ["--only", "index", "--force"],
        ["--only", "labels", "--index-memory", "1GB"],
        ["--only", "everything"],
        ["--as-of", "yesterday"],
        ["--as-of", "2024-01-01", "--only", "faces"],
        ["--known-at", "2024-01-01", "--only", "index"],
        ["--window", "never"],
        ["--index-memory", "much"],
    ],
)
def test_build_refuses_what_makes_no_sense(store, arguments):
    assert run("build", "--store", store, *arguments).exit_code == 2


@pytest.mark.parametrize(
    "twice",
    [
        ("--map", "sender_id=a", "--map", "sender_id=b"),
        ("--value", "liked:boost=true", "--value", "liked:boost=false"),
        ("--unit", "swiped_at=s", "--unit", "swiped_at=ms"),
    ],
)
def test_options_of_columns_that_contradict_each_other_are_usage_errors(store, twice):
    failed = run("ingest", "swipes", "x.csv", "--store", store, *twice)
    assert failed.exit_code == 2
    assert "twice" in failed.output


def test_build_options_reach_the_function(store, monkeypatch):
    seen = []

    def build(self, **options):
        seen.append(options)
        raise InputError("enough")

    monkeypatch.setattr(FeatureStore, "build", build)
    line = (
        "--encoder a --encoder b --as-of 2024-02-01T02:00+02:00 --face-confidence 0.7 --index-memory 1.5GB --recall 0.9"
    )
    more = ["--hashtag", "#Me", "--earliest-post", "2012-01-01", "--flip", "--force"]
    run("build", "--store", store, *line.split(), *more, "--yes")
    given = {
        "encoders": ["a", "b"],
        "as_of": dt.datetime(2024, 2, 1),
        "faces": {"confidence": 0.7},
        "index_memory": 1_500_000_000,
        "recall": 0.9,
        "flip": True,
        "force": True,
        "labels": {"hashtag": "#Me", "earliest_post": dt.datetime(2012, 1, 1)},
    }
    assert seen == [given]
    chosen = build_options(ConfigFile(), None, given)
    assert chosen.faces == FaceSettings("short", 0.7)
    run("build", "--store", store, "--label-defaults", "--hashtag", "me", "--yes")
    assert seen[1:] == [{"labels": LabelOptions(hashtag="me")}]


def test_former_names_of_options_still_work(store, monkeypatch):
    seen = []
    monkeypatch.setattr(FeatureStore, "build", lambda self, **options: seen.append(options) or 1 / 0)
    run("build", "--store", store, "--anew", "--memory", "2MB")
    run("build", "--store", store, "--force", "--index-memory", "2MB")
    assert seen == [{"force": True, "index_memory": 2_000_000}] * 2
    shown = run("build", "--help").stdout
    assert "--anew" not in shown
    assert "--memory" not in shown


def test_a_second_writer_is_told_who_writes(store, monkeypatch):
    monkeypatch.setenv("FEATURES_LOCK_TIMEOUT", "0.1")
    with locked(store / "lock", "features build", 1):
        done = run("build", "--store", store, "--only", "labels")
        assert isinstance(done.exception, LockedError)
        assert "`features build`" in str(done.exception)
        assert "`features build`" in run("status", "--store", store).stdout


def test_status_counts_and_refuses_to_invent_a_store(store, tmp_path):
    (found,) = json.loads(run("status", "--store", store, "--format", "json").stdout)
    with FeatureStore(store) as opened:
        assert found["relations"]["swipes"] == opened.sql("select count(*) from swipes").item()
    assert found["labels"]["stale"] is False
    assert found["snapshot_at"].endswith("Z")
    shown = run("status", "--store", store).stdout
    assert re.search(rf"^swipes +{found['relations']['swipes']}$", shown, re.MULTILINE)
    assert "Writer     nobody" in shown
    assert isinstance(run("status", "--store", tmp_path / "none").exception, StoreError)
    assert not (tmp_path / "none").exists()


def test_status_says_when_labels_are_stale(world, tmp_path):
    run("ingest", "users", world.users, "--store", tmp_path)
    assert "never built; run `features build`" in run("status", "--store", tmp_path).stdout


def test_a_build_tells_of_the_sources_there_are(world, tmp_path):
    run("ingest", "users", world.users, "--store", tmp_path)
    shown = run("build", "--only", "labels", "--store", tmp_path).stdout
    assert "\nswipes " in shown
    assert "\nposts " not in shown.partition("What is left")[2]
    steps = json.loads(run("build", "--only", "labels", "--store", tmp_path, "--format", "json").stdout)
    assert {step["source"] for step in steps} == {"swipes", "posts"}


def test_similar_hands_over_what_was_asked(store, monkeypatch, tmp_path):
    seen = []

    def similar(self, query, options, **arguments):
        seen.append((query, options, arguments))
        return pl.DataFrame({"rank": [1], "photo_id": ["p"], "distance": [0.25]})

    monkeypatch.setattr(FeatureStore, "similar", similar)
    picture = tmp_path / "p.jpg"
    picture.touch()
    ranked = ("--per-user", 2, "--other-users", "--popularity", 0.5, "--diverse", 0.25, "--popular-within", "gender")
    chosen = ("-k", 3, "--where", "popular", "--popular", *ranked, "--popularity-by", "percentile", "--unlike", "q")
    found = run("similar", "p000001", *chosen, "--store", store, "--format", "json")
    assert json.loads(found.stdout) == [{"rank": 1, "photo_id": "p", "distance": 0.25}]
    when = ("--as-of", "2024-02-01", "--known-at", "2024-03-01")
    run("similar", picture, "p", "--text", "hat", "--encoder", "dlib_face", *when, "--exact", "--store", store)
    first = SearchOptions(
        k=3,
        where="popular",
        popular=True,
        popular_within="gender",
        per_user=2,
        other_users=True,
        popularity=0.5,
        popularity_by="percentile",
        diverse=0.25,
    )
    both = {"as_of": dt.datetime(2024, 2, 1), "known_at": dt.datetime(2024, 3, 1)}
    assert seen == [
        (["p000001"], first, {"text": None, "unlike": ["q"], "as_of": None, "known_at": None}),
        ([picture, "p"], SearchOptions(encoder="dlib_face", exact=True), {"text": "hat", "unlike": []} | both),
    ]


def test_similar_without_an_index_is_an_error(store):
    assert isinstance(run("similar", "p000001", "--store", store).exception, StoreError)


def test_train_and_predict_without_anything_to_learn_from(store):
    assert run("train", "--store", store).exit_code == 1
    assert isinstance(run("train", "--store", store, "--target", "beauty").exception, InputError)
    assert isinstance(run("predict", "x.jpg", "--store", store).exception, InputError)
    assert run("predict", "x.jpg", "--store", store, "--run", "r", "--target", "gender").exit_code == 2


def test_encoders_and_weights_are_listed():
    encoders = json.loads(run("encoders", "--format", "json").stdout)
    assert [row["encoder"] for row in encoders] == [*ENCODERS, *OPENCLIP]
    assert {row["encoder"] for row in encoders if row["text"]} == set(OPENCLIP)
    assert {"dlib_face": True}.items() <= {row["encoder"]: row["available"] for row in encoders}.items()
    weights = {row["weights"]: row["path"] for row in json.loads(run("weights", "list", "--format", "json").stdout)}
    assert run("weights", "fetch", "dlib_face").stdout == f"{weights['dlib_face']}\n"
    assert run("weights", "fetch", "nonsense").exit_code == 1


def test_doctor_ends_with_one_where_a_fault_is_left(store, tmp_path):
    done = run("doctor", "--store", store, "--format", "json")
    assert done.exit_code == 0
    assert {row["check"] for row in json.loads(done.stdout)} >= {"snapshot", "photos", "labels"}
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    (copy / "snapshot.duckdb").write_bytes(b"not a database")
    done = run("doctor", "--store", copy)
    assert done.exit_code == 1
    assert f"features doctor --fix --store {copy}" in done.stdout
    assert run("doctor", "--fix", "--store", copy).exit_code == 0


def test_erase_asks_first_and_prints_its_receipt(store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    swipes_db = run("erase", "u000003", "--store", copy)
    assert isinstance(swipes_db.exception, InputError)
    assert swipes_db.exception.remedy == "features erase USER_ID --yes"
    done = run("erase", "u000003", "u000004", "--yes", "--store", copy, "--format", "json")
    assert done.exit_code == 0, done.exception
    [receipt] = json.loads(done.stdout)
    assert (len(receipt["people"]), receipt["counts"]["users"]) == (2, 2)
    with FeatureStore(copy) as opened:
        assert opened.sql("select count(*) from users where user_id in ('u000003', 'u000004')").item() == 0
    told = run("erase", "u000005", "--yes", "--store", copy).stdout
    assert "Erased 1 people" in told
    assert "u000005" not in told
    assert isinstance(run("erase", "u000005", "--yes", "--store", copy).exception, InputError)


def test_the_remedy_for_a_version_removes_that_version_only():
    result = CliRunner().invoke(program, ["training-set", "remove", "may", "--version", "2"], input="")
    assert str(result.exception).endswith("features training-set remove may --version 2 --yes")


def test_without_an_answer_nothing_is_removed_and_the_remedy_names_the_runs_as_a_shell_takes_them(store):
    refused = run("runs", "remove", "my model", "other", "--store", store).exception
    assert refused.what == "Nobody is here to be asked, and nothing was removed."
    assert refused.remedy == "features runs remove 'my model' other --yes"


@pytest.mark.parametrize(("targets", "expected"), [(["photos.likes"], False), (["photos.likes", "popular"], True)])
def test_train_prints_like_ratios_by_gender_only_for_targets_that_are_about_likes(
    targets, expected, store, monkeypatch
):
    tables = [Ranking(f"{target}: error", target, "mse", [], (None, None)) for target in targets]
    monkeypatch.setattr(FeatureStore, "train", lambda *_: Leaderboard(pl.DataFrame(), tables))
    done = run("train", "--store", store)
    assert done.exit_code == 0, done.output
    assert ("Table 1. Like ratio by the genders" in done.stdout) is expected
    assert "photos.likes: error" in done.stdout

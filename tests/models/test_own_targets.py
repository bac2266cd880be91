"""Targets and inputs that are columns of relations: which photos, which numbers, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from photogenic.models.heads import kinds, registry
from photogenic.models.heads.base import Head
from photogenic.models.predict import predict
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.labels.build import build_labels
from tests.models.planted import QUICK, planted, train
from tests.models.test_train import Notes
from tests.warehouse.definitions.own import project, sql_file

pytestmark = pytest.mark.slow

SHOP = """
select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(3.5e0 * likes - 2e4 + 1.5e0 * (likes * 7919 % 1201 - 600) as double) as worth, -- a number of any size
    cast(likes > 5000 as boolean) as sold, -- yes or no
    cast(case when likes % 3 = 0 then null else likes end as double) as patchy, -- missing for a third
    cast(likes % 7 as double) as noise, -- says nothing
    cast(case likes % 5 when 0 then null when 1 then 0 else likes % 5 end as double) as trust, -- a weight
    cast(1 as integer) as same, -- a constant
    cast(true as boolean) as yes, -- one answer
    cast('x' as varchar) as words -- a text
from photos
where likes is not null
"""

OWNERS = """
select
    cast(user_id as varchar) as user_id, -- the owner
    cast(max(likes) as bigint) as most -- a number per user
from photos
where likes is not null
group by user_id
"""

RELATIONS = {
    "shop": sql_file("shop", SHOP, reads="photos", grain="photo_id"),
    "owners": sql_file("owners", OWNERS, reads="photos"),
}


def shop(folder, n=140):
    """Make the store of `planted` with own relations whose values follow the first dimension of toy_a."""
    store = planted(folder, n=n)
    ids, X = store.embeddings("toy_a")
    noise = np.random.default_rng(3).normal(size=len(X))
    likes = (5000 + 1000 * ((X[:, 0] - 7) / 3 + 0.2 * noise)).round().astype(int)
    with store.database.write("test") as con:
        con.execute("begin")
        for photo_id, number in zip(ids, likes.tolist(), strict=True):
            if photo_id.startswith("unseen"):  # without swipes, so without a label
                at = "timestamp '2024-01-01'"
                con.execute(f"insert into facts.users (user_id, ingested_at) values ('u-{photo_id}', {at})")
                con.execute(
                    "insert into facts.photos (photo_id, user_id, path, ingested_at)"
                    f" values ('{photo_id}', 'u-{photo_id}', 'x', {at})"
                )
            con.execute("update facts.photos set likes = $1 where photo_id = $2", [number, photo_id])
        con.execute("update facts.photos set likes = null where photo_id in ('p003', 'p004')")
        con.execute("commit")
    build_labels(Store(store.database, project=project(RELATIONS)))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def board(store):
    return train(store, "shop.worth", ["toy_a"], ["0fc", "ridge", "kernel", "random_forest"], "all", grid=QUICK)


def joined(store, run_id, column, weight="1"):
    """Return p, y, weight and owner of the test photos of a run, by SQL."""
    relation = column.partition(".")[0]
    return (
        store.sql(
            f"select prediction as p, {column} + 0 as y, {weight} + 0 as w from predictions"
            f" join {relation} using (photo_id) where run_id = $run and split = 'test' and {column} is not null"
            " order by photo_id",
            {"run": run_id},
        )
        .to_numpy()
        .T
    )


def test_a_number_is_learned_in_its_own_unit_by_every_head(store, board):
    assert set(board.frame["head"]) == {"0fc", "ridge", "kernel", "random_forest"}
    for row in board.frame.to_dicts():
        p, y, _ = joined(store, row["run_id"], "shop.worth")
        assert row["metric"] == "mse"
        assert row["test"] == pytest.approx(np.mean((p - y) ** 2), rel=1e-6), row["head"]
        assert row["r2"] == pytest.approx(1 - np.mean((p - y) ** 2) / y.var(), rel=1e-6)
        assert row["r2"] > {"random_forest": 0.5}.get(row["head"], 0.8), row["head"]
        assert p.min() < -1000
        assert row["noise_floor"] is None


def test_photos_need_no_swipes_and_are_divided_like_the_others(store, board):
    run_id = board.frame["run_id"][0]
    splits = dict(store.sql("select photo_id, split from predictions where run_id = $r", {"r": run_id}).rows())
    assert len(splits) == 145
    assert {splits[f"unseen{i}"] for i in range(5)} <= {"train", "dev", "test"}
    assert splits["p003"] is splits["p004"] is None
    stored = store.sql("select photo_id, split from photo_setups where setup = 'all'").rows()
    assert all(splits[photo_id] in (split, None) for photo_id, split in stored)
    run = run_store.described(store.layout, run_id)
    assert run.hyperparameters["left_out"] == {"photos": 145, "no_value": 2, "no_weight": 0, "no_vector": 0}


def test_predictions_have_bounds_without_the_limits_of_a_ratio(store, board):
    run_id = board.frame.filter(head="ridge")["run_id"][0]
    with store.database.write("test") as con:
        con.execute("delete from facts.predictions where run_id = $1 and photo_id = 'p001'", [run_id])
    (one,) = [one for one in predict(store.store, run=run_id) if one.status == "ok"]
    reach = run_store.described(store.layout, run_id).results["conformal"]["radius"]
    assert abs(one.prediction) > 1
    assert (one.low, one.high) == pytest.approx((one.prediction - reach, one.prediction + reach))
    predict(store.store, run=run_id, keep=True)


def test_yes_or_no_is_an_accuracy_with_wilsons_interval(store):
    row = train(store, "shop.sold", ["toy_a"], ["svm", "logistic", "ridge"], "all", grid=QUICK).frame.to_dicts()
    assert [(r["head"], r["metric"]) for r in row] == [(r["head"], "accuracy") for r in row]
    assert {r["head"] for r in row} == {"linear_svm", "logistic"}
    p, y, _ = joined(store, row[0]["run_id"], "shop.sold::int")
    assert row[0]["test"] == pytest.approx(np.mean((p >= 0.5) == (y == 1)))
    assert row[0]["test"] > 0.8
    assert row[0]["high"] <= 1


def test_photos_without_a_weight_are_counted_and_left_out(store):
    notes = Notes()
    (row,) = train(
        store, "shop.worth", ["toy_a"], ["ridge"], "all", grid=QUICK, weight="shop.trust", progress=notes
    ).frame.to_dicts()
    p, y, w = joined(store, row["run_id"], "shop.worth", "shop.trust")
    assert row["test"] == pytest.approx(np.average((p - y) ** 2, weights=w), rel=1e-6)
    (n,) = store.sql("select count(*) from shop where coalesce(trust, 0) <= 0").row(0)
    assert any(f"2 have no value and {n} have no shop.trust above 0" in note for note in notes.notes)
    assert run_store.described(store.layout, row["run_id"]).hyperparameters["weight"] == "shop.trust"


def test_a_number_of_a_user_is_that_of_all_photos_of_the_user(store):
    row = train(store, "owners.most", ["toy_a"], ["ridge"], "all", grid=QUICK).frame.to_dicts()[0]
    assert row["r2"] > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "shop.same"}, "have one value of shop.same: 1"),
        ({"target": "shop.yes"}, "one answer for shop.yes: they are shop.yes = true"),
        ({"target": "shop.words"}, "shop.words is a text"),
        ({"target": "shop.wort"}, "shop has no column 'wort'"),
        ({"target": "shop.*"}, "names several columns"),
        ({"target": "shop.worth", "weight": "shop.yes"}, "--weight shop.yes is a boolean"),
        ({"target": "like_ratio", "weight": "shop.trust"}, "is for a target that is a column"),
        ({"target": "shop.worth", "features": "shop.*"}, "both the target and one of the features"),
        ({"target": "shop.worth", "encoders": ["none"]}, "heads have nothing to read"),
        ({"target": "shop.worth", "encoders": ["none+toy_a"], "features": "shop.noise"}, "joins none with an encoder"),
        ({"target": "shop.worth", "heads": ["logistic"]}, "cannot learn shop.worth"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_words(store, options, said):
    with pytest.raises(InputError) as error:
        train(store, **{"encoders": ["toy_a"], "heads": ["0fc"], "setup": "all", **options}, grid=QUICK)
    assert said in error.value.what
    assert error.value.remedy


def test_an_input_that_is_the_answer_is_refused(store):
    with pytest.raises(StoreError, match=r"The input photos\.likes contains the answer") as error:
        train(store, "owners.most", ["toy_a"], ["ridge"], "all", grid=QUICK, features="photos.likes")
    assert "--allow-correlated" in error.value.remedy


def test_an_input_that_is_the_answer_is_read_on_request(store):
    options = {"grid": QUICK, "features": "photos.likes", "allow_correlated": True}
    (run,) = train(store, "owners.most", ["toy_a"], ["ridge"], "all", **options).frame.to_dicts()
    assert run["r2"] > 0.99
    (audit,) = run_store.described(store.layout, run["run_id"]).results["leakage"]
    assert audit["inputs"]["photos.likes"] > 0.999


@pytest.fixture(scope="module")
def with_inputs(store):
    """Train on noise vectors beside inputs, with and without an encoder."""
    return train(
        store,
        "shop.worth",
        ["toy_b", "none"],
        ["ridge", "ensemble"],
        "all",
        grid=QUICK,
        features="shop.patchy,shop.noise",
    )


def test_inputs_beside_the_vector_help_and_say_how_much(store, with_inputs):
    assert set(with_inputs.frame["encoder"]) == {"toy_b", "none"}
    assert set(with_inputs.frame["inputs"]) == {"shop.patchy, shop.noise"}
    (plain,) = train(store, "shop.worth", ["toy_b"], ["ridge"], "all", grid=QUICK).frame.to_dicts()
    best = with_inputs.frame.filter(head="ridge", encoder="none").to_dicts()[0]
    assert best["test"] < 0.8 * plain["test"]
    run = run_store.described(store.layout, best["run_id"])
    assert [each["name"] for each in run.hyperparameters["inputs"]] == ["shop.patchy", "shop.noise"]
    patchy = store.sql("select count(*) from shop where patchy is null").item()
    assert sum(run.hyperparameters["inputs"][0]["missing"].values()) == patchy
    found = {each["input"]: each for each in run.results["importance"]}
    assert found["shop.patchy"]["low"] > 0
    assert found["shop.noise"]["low"] <= abs(found["shop.patchy"]["low"]) / 10
    beside = run_store.described(store.layout, with_inputs.frame.filter(head="ridge", encoder="toy_b")["run_id"][0])
    assert beside.results["importance"][0]["kind"] == "vector"
    assert "toy_b with shop.patchy and shop.noise" in {row.encoder for row in with_inputs.tables[0].rows}


def test_the_importance_is_the_growth_of_the_error_by_hand(store, with_inputs):
    """With all permutations equally likely, the expected error follows from the pairs of photos."""
    run, model = run_store.load(store.layout, with_inputs.frame.filter(head="ridge", encoder="none")["run_id"][0])
    rows = store.sql(
        "select worth, patchy, noise from shop join predictions using (photo_id)"
        " where run_id = $r and split = 'test' order by photo_id",
        {"r": run.run_id},
    ).to_numpy()
    y, X = rows[:, 0], rows[:, 1:].astype(np.float32)
    pairs = np.stack([np.repeat(X[:, 0], len(X)), np.tile(X[:, 1], len(X))], 1)
    expected = np.mean((model.predict(pairs) - np.tile(y, len(X))) ** 2) - np.mean((model.predict(X) - y) ** 2)
    found = {each["input"]: each for each in run.results["importance"]}["shop.patchy"]
    assert found["growth"] == pytest.approx(expected, rel=0.25)
    assert found["low"] < expected < found["high"]


def test_a_missing_input_is_the_mean_of_train_with_a_column_that_says_so(store, with_inputs):
    run, model = run_store.load(store.layout, with_inputs.frame.filter(head="ridge", encoder="none")["run_id"][0])
    rows = store.sql(
        "select patchy, noise from shop join predictions using (photo_id) where run_id = $r and split = 'train'",
        {"r": run.run_id},
    ).to_numpy()
    np.testing.assert_allclose(model.arrays["inputs.mean"], np.nanmean(rows, 0), rtol=1e-6)
    np.testing.assert_array_equal(model.arrays["inputs.indicated"], [1, 0])
    assert model.dim == 2
    weight = model.arrays["output.weight"]
    at_mean = model.predict(np.array([[np.nanmean(rows[:, 0]), 1]], np.float32))
    missing = model.predict(np.array([[np.nan, 1]], np.float32))
    step = weight[2] / model.arrays["scale"][2] * model.arrays["target.scale"]
    assert missing - at_mean == pytest.approx(step, rel=1e-3)


def test_the_same_call_trains_nothing_and_inputs_make_another_run(store, with_inputs):
    again = train(
        store,
        "shop.worth",
        ["toy_b", "none"],
        ["ridge", "ensemble"],
        "all",
        grid=QUICK,
        features=["shop.patchy", "shop.noise"],
    )
    assert again.n_trained == 0
    assert again.frame.equals(with_inputs.frame)


def test_photos_of_the_store_are_predicted_by_their_inputs_of_now(store, with_inputs):
    run_id = with_inputs.frame.filter(head="ridge", encoder="none")["run_id"][0]
    _, model = run_store.load(store.layout, run_id)
    X = store.sql("select patchy, noise from shop where photo_id = 'p010'").to_numpy().astype(np.float32)
    said = store.sql("select prediction from predictions where run_id = $r and photo_id = 'p010'", {"r": run_id}).item()
    assert said == pytest.approx(model.predict(X)[0])
    with pytest.raises(InputError, match=r"reads no pictures, but shop\.patchy, shop\.noise"):
        predict(store.store, ["picture.jpg"], run=run_id)


def test_folds_learn_their_own_means(store):
    from photogenic.models.data.split_config import SplitConfig

    (row,) = train(
        store,
        "shop.worth",
        ["none"],
        ["ridge"],
        "all",
        grid=QUICK,
        features="shop.patchy",
        division=SplitConfig(folds=3),
    ).frame.to_dicts()
    _, model = run_store.load(store.layout, row["run_id"])
    means = {float(array[0]) for name, array in model.arrays.items() if name.endswith("|inputs.mean")}
    assert len(means) == 3
    assert row["n_test"] == 143


def test_a_head_of_the_users_own_learns_a_number_of_any_size(store, monkeypatch):
    registry.heads()
    monkeypatch.setattr(registry, "_HEADS", dict(registry._HEADS))
    monkeypatch.setattr(kinds, "_RULES", dict(kinds._RULES))

    class Middle(Head):
        summary = "the mean label"

        def fit(self, data, settings):
            assert abs(data.samples.part("train").y.mean()) < 1e-3
            return self.fitted(data, {"label": data.samples.part("train").y.mean()})

        def apply(self, arrays, X):
            return np.full(len(X), arrays["label"])

    registry.register_head("middle_of_all")(Middle)
    (row,) = train(store, "shop.worth", ["toy_a"], ["middle_of_all"], "all", grid=QUICK).frame.to_dicts()
    assert row["test"] == pytest.approx(row["baseline"], rel=1e-4)


def test_a_source_of_the_answer_is_noted(store):
    from photogenic.models.data.answers import shared_source
    from photogenic.warehouse.catalog import catalog_of

    with store.database.read() as con:
        catalog = catalog_of(con)
    like_ratio = "photo_labels", "value"
    assert shared_source(catalog, like_ratio, ("like_ratios", "n_likes")) == "like_ratios"
    assert shared_source(catalog, like_ratio, ("swipe_audit", "n_swipes")) is not None
    assert shared_source(catalog, like_ratio, ("photos", "width")) is None
    assert shared_source(catalog, like_ratio, ("users", "followers")) == "users"
    assert shared_source(catalog, ("photos", "likes"), ("shop", "noise")) == "photos"
    assert shared_source(catalog, ("shop", "worth"), ("photos", "width")) is None
    assert shared_source(catalog, ("users", "gender"), ("photos", "height")) is None


def test_runs_stay_readable_when_the_relation_is_gone(tmp_path):
    store = shop(tmp_path, n=80)
    made = train(store, "shop.worth", ["toy_a"], ["ridge"], "all", grid=QUICK, features="shop.noise")
    run_id = made.frame["run_id"][0]
    build_labels(Store(store.database, project=project({"owners": RELATIONS["owners"]})))
    from photogenic.app.report.report import write_report
    from photogenic.models.evaluation.leaderboard import leaderboard

    assert leaderboard(store.database).tables[0].title == "shop.worth: mean squared error on test"
    page = write_report(store.store).read_text()
    assert "What each input adds" in page
    assert "shop.worth: mean squared error on test" in page
    with store.database.write("test") as con:
        con.execute("delete from facts.predictions where photo_id = 'p001'")
    with pytest.raises(
        InputError, match=f"Run {run_id} cannot read its inputs: --features: There is no relation 'shop'"
    ):
        predict(store.store, run=run_id)
    json.loads(sql(store.database, "select results from runs").item())

"""Two encoders side by side on planted labels: figures against plain NumPy, and what cannot be compared."""

import json
import shlex

import numpy as np
import pytest

from photogenic.features.compare.options import CompareArguments, CompareOptions
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.encoder_change.compare import compare_encoders
from photogenic.warehouse import InputError
from photogenic.warehouse.moment import EmptyMomentWarning
from photogenic.warehouse.option_help import option_fields
from tests.app.program import COMMANDS
from tests.features.toy import put_vectors
from tests.models.planted import QUICK, planted, train

FEW = CompareOptions(sample=40, k=5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Photos with `toy_a` and, but for ten, `toy_b`, which lacks the planted direction; heads on both."""
    store = planted(tmp_path_factory.mktemp("planted"))
    train(store, "like_ratio", ["toy_a", "toy_b"], ["0fc"], "all", grid=QUICK)
    train(store, "gender", ["toy_a", "toy_b"], ["0fc"], "all", division=SplitConfig(folds=3), grid=QUICK)
    other = SplitConfig("3:1", division_seed=4)
    train(store, "like_ratio", ["toy_a"], ["ridge", "0fc"], "all", division=other, grid=QUICK)
    yield store
    store.close()


@pytest.fixture(scope="module")
def found(store):
    return compare_encoders(store.store, "toy_a", "toy_b", FEW)


def test_heads_that_were_trained_alike_are_pairs(found):
    assert [(one.target, one.head, one.division) for one in found.heads] == [
        ("gender", "0fc", "3 folds"),
        ("like_ratio", "0fc", "8:1:1"),
    ]


def test_figures_of_a_pair_are_those_of_the_photos_that_both_predicted(store, found):
    (pair,) = (one for one in found.heads if one.target == "like_ratio")
    rows = store.sql(
        "select a.prediction as a, b.prediction as b, value as y, weight from predictions as a"
        " inner join predictions as b using (photo_id) inner join photo_labels using (photo_id)"
        " where a.run_id = $a and b.run_id = $b and a.split = 'test' and b.split = 'test'",
        {"a": pair.run_a, "b": pair.run_b},
    )
    a, b, y, weight = (rows[name].to_numpy() for name in ("a", "b", "y", "weight"))
    mse_a, mse_b = (np.average((p - y) ** 2, weights=weight) for p in (a, b))
    assert pair.n_photos == len(rows)
    assert (pair.value_a, pair.value_b, pair.less) == pytest.approx((mse_a, mse_b, mse_a - mse_b), rel=1e-5)
    assert pair.low_a <= pair.value_a <= pair.high_a
    assert pair.less_low <= pair.less <= pair.less_high
    assert pair.better == "a"  # toy_b lacks the direction that decides the labels


def test_a_head_without_counterpart_names_the_command_that_trains_it(found):
    (command,) = found.train
    words = shlex.split(command)
    assert words[:2] == ["features", "train"]
    asked = COMMANDS["train"].make_context("train", words[2:]).params
    assert asked["encoders"] == ["toy_b"]
    assert sorted(asked["heads"]) == ["0fc", "ridge"]
    assert asked["setup"] == ["all"]
    assert (asked["ratio"], asked["division_seed"]) == ("3:1", 4)


def test_joined_encoders_are_pairs_when_one_part_is_replaced(tmp_path):
    with planted(tmp_path, n=60) as store:
        ids, X = store.embeddings("toy_b")
        put_vectors(store.layout, "toy_c", ids, X + 1)
        train(store, "like_ratio", ["toy_a+toy_c", "toy_b+toy_c", "toy_a+toy_b"], ["ridge"], "all")
        found = compare_encoders(store.store, "toy_a", "toy_b", CompareOptions(only="heads"))
        (pair,) = found.heads
        assert (pair.encoder_a, pair.encoder_b) == ("toy_a+toy_c", "toy_b+toy_c")
        assert found.train == []


def test_without_heads_the_command_that_trains_both_is_named(tmp_path):
    with planted(tmp_path, n=20) as store:
        found = compare_encoders(store.store, "toy_a", "toy_b", FEW)
        assert found.heads == []
        assert found.train == ["features train --encoder toy_a --encoder toy_b"]
        assert store.sql("select count(*) from runs").item() == 0


def test_the_overlap_has_intervals_and_chance_overall_and_within_gender(found):
    groups = {row.among for row in found.overlap}
    assert groups == {"all", "female", "male", "unknown"}
    for row in found.overlap:
        assert 0 <= row.low <= row.value <= row.high <= 1
        assert row.by_chance < 1 or row.n_searched <= 51
    everything = {row.measure: row for row in found.overlap if row.among == "all"}
    assert list(everything) == ["overlap@1", "overlap@5", "overlap@10", "overlap@50", "rbo"]
    assert all(row.n_photos == 40 for row in everything.values())
    assert everything["overlap@5"].by_chance == pytest.approx(5 / (everything["rbo"].n_searched - 1))
    within = [row.n_photos for row in found.overlap if row.among != "all" and row.measure == "rbo"]
    assert sum(within) == 40


def test_vectors_that_differ_by_a_rotation_have_the_same_neighbors_and_random_ones_those_of_chance(tmp_path):
    with planted(tmp_path, n=120) as store:
        ids, X = store.embeddings("toy_a")
        turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))
        put_vectors(store.layout, "turned", ids, (X @ turned).astype("f4"))
        put_vectors(store.layout, "noise", ids, np.random.default_rng(4).normal(size=X.shape).astype("f4"))
        asked = CompareOptions(only="overlap")
        same = compare_encoders(store.store, "toy_a", "turned", asked).overlap
        assert all(row.value > 0.99 for row in same)
        random = compare_encoders(store.store, "toy_a", "noise", asked).overlap
        for row in random[:4]:
            assert row.value == pytest.approx(row.by_chance, abs=0.06)


def test_the_photos_that_move_most_come_first(store, found):
    moved = found.moved
    assert len(moved) == 10
    order = [(one.in_common, one.rbo) for one in moved]
    assert order == sorted(order)
    for one in moved:
        assert len(one.neighbours_a) == len(one.neighbours_b) == 5
        assert one.in_common == len(set(one.neighbours_a) & set(one.neighbours_b))
        assert one.photo_id not in one.neighbours_a + one.neighbours_b
    known = set(store.sql("select photo_id from photos")["photo_id"])
    ids = sorted(set(store.embeddings("toy_a")[0]) & set(store.embeddings("toy_b")[0]) & known)
    X = store.embeddings("toy_a", ids)[1].astype(np.float64)
    distances = np.linalg.norm(X - X[ids.index(moved[0].photo_id)], axis=1)
    assert moved[0].neighbours_a == [ids[at] for at in np.argsort(distances, kind="stable")[1:6]]


def test_cost_is_read_from_vectors_and_index(store):
    store.build(only="index", encoders=["toy_a"])
    found = compare_encoders(store.store, "toy_a", "toy_b", CompareOptions(only="cost"))
    a, b = found.cost
    assert (a.dim, b.dim, a.n_photos, b.n_photos, a.licence) == (4, 3, 165, 155, "none")
    assert (a.index_kind, a.index_bytes, a.recall_at_10) == ("Flat", 16, 1.0)
    assert (b.index_kind, b.index_bytes, b.p50_ms) == (None, None, None)
    assert a.vector_bytes > 16
    assert a.photo_ms is a.measured is None  # its vectors were never computed here
    assert found.photos
    assert found.overlap == found.moved == found.heads == []


def test_a_measurement_without_pictures_is_a_note(store):
    found = compare_encoders(store.store, "toy_a", "toy_b", CompareOptions(only="cost", measure=2))
    assert [one.photo_ms for one in found.cost] == [None, None]
    assert "no photo with a vector has a picture" in found.notes[0]


@pytest.mark.parametrize(("n_a", "n_b", "both"), [(1, 5, 1), (0, 5, 0)])
def test_too_few_photos_in_common_are_a_note_and_no_figures(tmp_path, n_a, n_b, both):
    with planted(tmp_path, n=20) as store:
        rng = np.random.default_rng(0)
        few = [f"p{at:03d}" for at in range(n_a)] or ["p019"]
        put_vectors(store.layout, "few", few, rng.normal(size=(len(few), 2)).astype("f4"))
        put_vectors(store.layout, "some", [f"p{at:03d}" for at in range(n_b)], rng.normal(size=(n_b, 2)).astype("f4"))
        found = compare_encoders(store.store, "few", "some")
        assert found.counts.both == both
        assert sum(row["n_photos"] for row in found.photos[:-1]) == found.photos[-1]["n_photos"]
        assert "no neighbors to compare" in found.notes[0]
        assert {row.value for row in found.overlap} == {None}
        assert found.moved == []
        json.dumps(found.record(), allow_nan=False)


def test_at_another_moment_only_photos_of_then_are_compared(store):
    with pytest.warns(EmptyMomentWarning):
        before = store.compare_encoders("toy_a", "toy_b", FEW, known_at="2023-01-01", only="overlap")
    assert before.counts.n_photos == 0
    assert "2023-01-01" in before.moment
    now = store.compare_encoders("toy_a", "toy_b", FEW, as_of="2025-01-01", only="overlap")
    assert now.overlap == compare_encoders(store.store, "toy_a", "toy_b", FEW).overlap


@pytest.mark.parametrize(
    "place",
    [
        "features.compare.neighborhoods.nearest",
        "models.encoder_change.heads._pair",
        "app.report.encoder_report.page_template",
    ],
)
def test_an_interrupted_comparison_changes_nothing_and_the_next_one_is_whole(
    store, found, monkeypatch, tmp_path, place
):
    def files():
        return {path: path.read_bytes() for path in store.layout.root.rglob("*") if path.is_file()}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before, page = files(), tmp_path / "both.html"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(f"photogenic.{place}", interrupted)
        store.compare_encoders("toy_a", "toy_b", FEW, output=page)
    assert files() == before
    assert list(tmp_path.iterdir()) == []
    again = store.compare_encoders("toy_a", "toy_b", FEW, only="overlap")
    assert again.overlap == found.overlap


def test_everything_is_json(found):
    again = json.loads(json.dumps(found.record(), allow_nan=False))
    assert list(again)[:4] == ["encoder_a", "encoder_b", "k", "moment"]
    assert [len(again[part]) for part in ("photos", "moved", "heads", "cost")] == [5, 10, 2, 2]


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"sample": 0}, {"moved": -1}, {"measure": -1}, {"only": "all"}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        CompareOptions(**wrong)


def test_keyword_arguments_are_the_fields_of_the_options():
    assert {field.name: field.kind for field in option_fields(CompareOptions)} == CompareArguments.__annotations__

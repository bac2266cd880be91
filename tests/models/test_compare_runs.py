"""Paired comparisons and slices against closed forms and simulation."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from photogenic.models.data.samples import Samples
from photogenic.models.data.split import Groups, make_split
from photogenic.models.data.split_config import DEFAULT_SPLIT
from photogenic.models.data.targets import TARGETS
from photogenic.models.evaluation.comparison import Entry, compare_heads
from photogenic.models.evaluation.metrics import evaluate
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import by_value, read_columns
from photogenic.models.heads.kernel import fit_kernel
from photogenic.warehouse import InputError

RATIO, GENDER = TARGETS["like_ratio"], TARGETS["gender"]


def predicted(n=300, noise=0.1, seed=0, y=None):
    rng = np.random.default_rng(seed)
    y = np.random.default_rng(9).random(n) if y is None else y
    return Predictions(
        photo_ids=np.char.mod("p%04d", np.arange(n)),
        user_ids=np.char.mod("u%03d", np.arange(n) // 2),
        gender=np.where(np.arange(n) % 2, "female", "male"),
        y=y,
        p=y + noise * rng.normal(size=n),
        weight=np.random.default_rng(8).integers(1, 50, n).astype(float),
        constant=np.full(n, 0.5),
    )


def test_the_winner_on_dev_is_compared_with_all_others_on_test():
    good, bad = predicted(noise=0.1, seed=1), predicted(noise=0.2, seed=2)
    found = compare_heads(RATIO, "all", [Entry("b", "x", "1fc", 0.3, bad), Entry("a", "x", "0fc", 0.2, good)])
    assert found.winner.run_id == "a"
    assert [rival.encoder for rival in found.comparisons] == ["best constant", "x"]
    rival = found.comparisons[1]
    own, other = (np.average((j.y - j.p) ** 2, weights=j.weight) for j in (good, bad))
    assert (rival.own, rival.other) == pytest.approx((own, other))
    assert rival.less[0] == pytest.approx(other - own)
    assert rival.ratio[0] == pytest.approx(own / other)
    assert rival.ratio[1] < rival.ratio[0] < rival.ratio[2] < 1
    assert rival.sure
    worse = compare_heads(RATIO, "all", [Entry("b", "x", "1fc", 0.1, bad), Entry("a", "x", "0fc", 0.2, good)])
    assert worse.winner.run_id == "b", "figures on test do not change the winner"
    assert not worse.comparisons[1].sure


def test_only_photos_that_both_have_predicted_count():
    good, bad = predicted(noise=0.1, seed=1), predicted(noise=0.2, seed=2)
    fewer = Predictions(*(getattr(bad, name)[50:250] for name in Predictions.__slots__))
    rival = compare_heads(
        RATIO, "all", [Entry("a", "x", "0fc", 0.2, good), Entry("b", "y", "1fc", 0.3, fewer)]
    ).comparisons[1]
    assert rival.n_photos == 200
    assert rival.own == pytest.approx(np.average((good.y - good.p)[50:250] ** 2, weights=good.weight[50:250]))


def test_a_pairwise_interval_is_narrower_than_those_of_the_figures():
    """For two heads with similar errors, the difficulty of a photo cancels out."""
    good = predicted(noise=0.2, seed=1)
    near = replace(good, p=good.p + 0.03 * np.random.default_rng(5).normal(size=300))
    rival = compare_heads(
        RATIO, "all", [Entry("a", "x", "0fc", 0.2, good), Entry("b", "y", "1fc", 0.3, near)]
    ).comparisons[1]
    figures = evaluate(RATIO, good.y, good.p, weight=good.weight, users=good.user_ids, constant=0.5,
                    rng=np.random.default_rng(0))  # fmt: skip
    low, high = figures["intervals"]["metric"]
    assert rival.less[2] - rival.less[1] < (high - low) / 2


def test_equal_heads_are_rarely_called_different():
    hits = 0
    for seed in range(100):
        a, b = (predicted(n=120, noise=0.2, seed=2 * seed + k) for k in (0, 1))
        hits += (
            compare_heads(RATIO, "all", [Entry("a", "x", "0", 0.1, a), Entry("b", "x", "1", 0.2, b)])
            .comparisons[1]
            .sure
        )
    assert hits <= 8


def test_for_a_binary_target_wrong_answers_are_compared():
    y = (np.random.default_rng(0).random(300) < 0.5).astype(float)
    right, half = replace(predicted(y=y), p=y), replace(predicted(y=y), p=np.where(np.arange(300) % 2, y, 1 - y))
    rival = compare_heads(
        GENDER, "all", [Entry("a", "x", "0", 1.0, right), Entry("b", "x", "1", 0.5, half)]
    ).comparisons[1]
    assert (rival.own, rival.ratio[0], rival.sure) == (1.0, 0.0, True)
    assert rival.other == pytest.approx(1 - np.average(np.arange(300) % 2 == 0, weights=half.weight))


def test_a_slice_has_the_figures_of_its_own_photos():
    of = predicted()
    found = by_value(RATIO, "gender", of.gender, of)
    assert {(s.value, s.n_photos, s.n_users, s.warning) for s in found} == {
        ("female", 150, 150, False),
        ("male", 150, 150, False),
    }
    own = of.gender == "male"
    (male,) = (s for s in found if s.value == "male")
    errors = (of.y - of.p) ** 2
    assert male.error[0] == pytest.approx(np.average(errors[own], weights=of.weight[own]))
    assert male.ratio[0] == pytest.approx(male.error[0] / np.average(errors[~own], weights=of.weight[~own]))
    assert male.bias[0] == pytest.approx(np.average((of.p - of.y)[own], weights=of.weight[own]))
    for figure in (male.error, male.ratio, male.bias, male.spearman):
        assert figure[1] < figure[0] < figure[2]


def test_a_significantly_worse_slice_has_a_warning_and_a_small_one_has_none():
    of = predicted(noise=0.1)
    flattered = replace(of, p=np.where(of.gender == "female", of.p + 0.25, of.p))
    female, male = sorted(by_value(RATIO, "gender", of.gender, flattered), key=lambda s: s.value)
    assert (female.warning, male.warning) == (True, False)
    assert female.bias[1] > 0.2
    few = np.where(np.arange(300) < 12, "few", "many")
    wrong = replace(of, p=np.where(few == "few", of.p + 0.5, of.p))
    (small,) = (s for s in by_value(RATIO, "size", few, wrong) if s.value == "few")
    assert (small.n_users, small.warning) == (6, False)
    assert by_value(RATIO, "one", np.full(300, "same"), of) == []


def test_slices_of_the_user_come_from_columns_of_a_file(tmp_path):
    path = tmp_path / "ages.csv"
    path.write_text("user_id,age\nu1,007\nu1,007\nu2,\n")
    assert read_columns(path).rows() == [("u1", "007"), ("u2", None)]
    pl.DataFrame({"photo_id": ["p"], "n": [3]}).write_parquet(tmp_path / "n.parquet")
    assert read_columns(tmp_path / "n.parquet").rows() == [("p", "3")]
    with pytest.raises(InputError, match="nobody"):
        read_columns(tmp_path / "nobody.csv")
    rows = "".join(f"u{i},{i},{i % 2}\n" for i in range(30))
    path.write_text("user_id,number,odd\n" + rows)
    assert read_columns(path).columns == ["user_id", "odd"]
    path.write_text("user_id,number\n" + "".join(f"u{i},{i}\n" for i in range(30)))
    with pytest.raises(InputError, match="more than 20 values"):
        read_columns(path)
    path.write_text("user_id,odd\nu1,a,more\n,b\n")
    assert read_columns(path).rows() == [("u1", "a")], "extra fields are ignored; a line without an id is dropped"
    path.write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        read_columns(path)
    path.write_text("id,age\n1,2\n")
    with pytest.raises(InputError, match="photo_id or user_id"):
        read_columns(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user_id,age\nu1,7\nu1,8\n", r"two values of age for user_id 'u1': '7' and '8'\."),
        ("photo_id,a,b\np,1,x\nq,1,y\np,1,z\nq,2,y\n", r"two values of a for photo_id 'q': '1' and '2'\."),
        ("user_id,a\nu,1\nu,2\nv,1\nv,2\n", "1 more user_ids have two values as well"),
        ("user_id,age,age\nu1,7,8\n", "two columns called 'age'"),
        ("user_id,age,age,age\nu1,7,7,7\n", "two columns called 'age'"),
        ("user_id,Age,age\nu1,7,8\n", "a column 'Age' and a column 'age'"),
        ("user_id,ÄGE,äge\nu1,7,8\n", "a column 'ÄGE' and a column 'äge'"),
        ("user_id,age,age \nu1,7,8\n", "called 'age'"),
        ("user_id,user_id,age\nu1,u2,8\n", "two columns called 'user_id'"),
        ("user_id,USER_ID,age\nu1,u2,8\n", "a column 'user_id' and a column 'USER_ID'"),
        ("user_id,age\n", "no row with a user_id"),
        ("user_id,age\n,7\n", "no row with a user_id"),
        ("photo_id,user_id\np,u\n", "has the columns photo_id, user_id"),
        ("\n\n", "cannot be read"),
    ],
)
def test_a_file_of_slices_that_contradicts_itself_is_refused(tmp_path, text, says):
    path = tmp_path / "slices.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_columns(path)


def test_a_file_without_slices_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_columns(tmp_path)
    for name, data in (("x.parquet", b"PAR1"), ("y.csv", b"\x00\xff" * 100), ("z.parquet", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            read_columns(tmp_path / name)
    pl.DataFrame({"photo_id": ["p"], "n": [[3]]}).write_parquet(tmp_path / "lists.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_columns(tmp_path / "lists.parquet")


def test_rows_of_one_photo_may_fill_different_columns(tmp_path):
    path = tmp_path / "slices.csv"
    path.write_text("photo_id,user_id,a,b\np,u,1,\nq,v,,3\np,w,,2\np,u,1,2\n")
    assert read_columns(path).rows() == [("p", "1", "2"), ("q", None, "3")]


@pytest.mark.parametrize("clusters_known", [True, False])
def test_random_labels_cannot_be_learned_unless_copies_are_in_two_splits(clusters_known):
    """Every picture exists twice, under two owners, with a random label: a head can predict test from copies only."""
    rng, n = np.random.default_rng(0), 300
    X = np.repeat(rng.normal(size=(n, 6)), 2, axis=0) + 0.01 * rng.normal(size=(2 * n, 6))
    users = np.char.mod("u%04d", rng.permutation(2 * n))
    samples = Samples(
        photo_ids=np.char.mod("p%04d", np.arange(2 * n)),
        user_ids=users,
        X=X.astype(np.float32),
        y=np.repeat(rng.random(n), 2).astype(np.float32),
        weight=np.full(2 * n, 30, np.float32),
        gender=np.full(2 * n, ""),
        split=rng.choice(["train", "dev", "test"], 2 * n, p=[0.6, 0.1, 0.3]),
    )
    rows = pl.DataFrame({
        "photo_id": samples.photo_ids, "user_id": users, "sha256": samples.photo_ids,
        "cluster_id": [f"c{i // 2}" if clusters_known else None for i in range(2 * n)], "shown_at": [None] * (2 * n),
    })  # fmt: skip
    (part,) = make_split(samples, Groups.of(samples.photo_ids, rows), DEFAULT_SPLIT, "all")
    fit, test = fit_kernel(part, RATIO, [6]), part.part("test")
    p = fit.model.predict(test.X)
    figures = evaluate(RATIO, test.y, p, weight=test.weight, users=test.user_ids, constant=0.5, rng=rng)
    low, _ = figures["intervals"]["r2"]
    assert (low <= 0) == clusters_known

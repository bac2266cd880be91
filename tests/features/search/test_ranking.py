"""The order of a search equals a brute force in NumPy over all photos that match, by the formulas of the guide."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photogenic.features.search import index, ranking
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.searcher import Searcher
from photogenic.warehouse import Database, InputError, Store
from tests.features.search.planted import DIM, N, photo_id, planted

Planted = tuple[pl.DataFrame, np.ndarray, Searcher]
UNLIKE = 0.5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    db, X = planted(tmp_path_factory.mktemp("ranking"))
    return labels(db), X, Searcher(Store(db))


def labels(db: Database) -> pl.DataFrame:
    """Every photo with its owner, label and popularity, by plain SQL."""
    with db.read() as con:
        return con.sql(
            """
            select p.photo_id, p.user_id, l.gender, l.popular, r.smoothed_ratio, l.value,
                100 * percent_rank() over (partition by l.value is null, l.gender order by l.value) as percentile,
                (select alpha / (alpha + beta) from like_ratio_prior where time_window = 'every') as prior
            from photos p left join photo_labels l using (photo_id)
            left join like_ratios r on r.photo_id = p.photo_id and r.time_window = 'every'
            order by p.photo_id
            """
        ).pl()


def distance(X: np.ndarray, q: np.ndarray, encoder: str) -> np.ndarray:
    """In float64, rounded, so that vectors that are equal are at the same distance."""
    X, q = X.astype(np.float64), q.astype(np.float64)
    if encoder == "ranked":
        return np.round(np.linalg.norm(X - q, axis=1), 9)
    return np.round(1 - X @ q / np.linalg.norm(X, axis=1) / np.linalg.norm(q), 9)


def brute_force(
    world: Planted, like: list[int], unlike: list[int], options: SearchOptions, matching: np.ndarray
) -> list[tuple[str, float]]:
    """Return photo and score of each result, by the formulas of docs/guides/similar.md and no code of the program."""
    held, X, _ = world
    encoder = options.encoder or ""
    V = X if encoder == "ranked" else X / np.linalg.norm(X, axis=1, keepdims=True)
    q = V[like].mean(axis=0)
    if unlike:
        q = q + UNLIKE * (q - V[unlike].mean(axis=0))
    owners = held["user_id"].to_numpy()
    allowed = matching.copy()
    allowed[like + unlike] = False
    if options.other_users:
        allowed &= ~np.isin(owners, owners[like])
    rows = np.flatnonzero(allowed)
    if not len(rows):
        return []
    near = distance(V, q, encoder)
    low, high = near[rows].min(), near[rows].max()

    likeness = (high - near) / (high - low) if high > low else 1 - (near - low)
    if options.popularity_by == "like_ratio":
        popularity = held["smoothed_ratio"].fill_null(held["prior"][0]).to_numpy()
    else:
        popularity = np.where(held["value"].is_null().to_numpy(), 50.0, held["percentile"].to_numpy())
    least, most = popularity[rows].min(), popularity[rows].max()
    popularity = (popularity - least) / (most - least) if most > least else np.ones(N)
    w = options.popularity
    score = (1 - w) * likeness + w * popularity
    order = sorted(rows, key=lambda row: (-round(score[row], 9), row))
    if options.per_user is not None:
        counts: dict[str, int] = {}
        kept = []
        for row in order:
            counts[owners[row]] = counts.get(owners[row], 0) + 1
            if counts[owners[row]] <= options.per_user:
                kept.append(row)
        order = kept
    if not options.diverse:
        return [(photo_id(row), score[row] if w else -near[row]) for row in order[: options.k]]
    pool, weight = order[: min(max(10 * options.k, 100), 2000)], options.diverse
    chosen, scores = [pool[0]], [(1 - weight) * score[pool[0]]]
    while len(chosen) < min(options.k, len(pool)):
        apart = np.min([distance(V, V[one], encoder) for one in chosen], axis=0)
        alike = np.maximum(1 - apart / (high or 1), 0)
        marginal = np.round((1 - weight) * score - weight * alike, 9)
        best = min((row for row in pool if row not in chosen), key=lambda row: (-marginal[row], row))
        chosen.append(best)
        scores.append(marginal[best])
    return [(photo_id(row), value) for row, value in zip(chosen, scores, strict=True)]


WHERE = {
    None: lambda held: pl.Series([True] * N),
    "gender = 'male'": lambda held: held["gender"] == "male",
    "value > 0.3": lambda held: held["value"] > 0.3,
    "user_id in ('o0', 'o3')": lambda held: held["user_id"].is_in(["o0", "o3"]) & held["value"].is_not_null(),
}

OPTIONS = st.builds(
    SearchOptions,
    k=st.integers(1, 60),
    encoder=st.sampled_from(["ranked", "ranked_cosine"]),
    where=st.sampled_from(list(WHERE)),
    per_user=st.sampled_from([None, 1, 2, 5]),
    other_users=st.booleans(),
    popularity=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    popularity_by=st.sampled_from(["like_ratio", "percentile"]),
    diverse=st.sampled_from([None, None, 0.3, 0.7]),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=OPTIONS,
    like=st.lists(st.integers(0, N - 1), min_size=1, max_size=4, unique=True),
    unlike=st.lists(st.integers(0, 199), max_size=2, unique=True),
)
def test_the_order_equals_a_brute_force(
    world: Planted, options: SearchOptions, like: list[int], unlike: list[int]
) -> None:
    unlike = [row for row in unlike if row not in like]
    matching = WHERE[options.where](world[0]).fill_null(False).to_numpy()
    if unlike and np.allclose(world[1][like].mean(axis=0), world[1][unlike].mean(axis=0)):
        unlike = []
    found = world[2].similar([photo_id(row) for row in like], options, unlike=[photo_id(row) for row in unlike])
    expected = brute_force(world, like, unlike, options, matching)
    scores = found["score"].to_numpy() if "score" in found.columns else -found["distance"].to_numpy()
    np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-5, atol=3e-6)
    assert found["rank"].to_list() == list(range(1, len(expected) + 1))
    names = found["photo_id"].to_list()
    for at, (name, _) in enumerate(expected):
        # Scores within the rounding of float32 may change places.
        if names[at] != name:
            other = names.index(name) if name in names else len(names) - 1
            assert abs(scores[at] - scores[other]) < 3e-6 + 1e-5 * abs(scores[at]), (at, names, expected)


def test_equal_scores_are_in_order_of_photo_id(world: Planted) -> None:
    found = world[2].similar("p0000", k=N, encoder="ranked", popularity=1.0, popularity_by="percentile")
    rows = found.select("score", "photo_id").rows()
    assert all(a[0] > b[0] or a[1] < b[1] for a, b in pairwise(rows))
    assert len({score for score, _ in rows}) < len(rows)  # photos without a label have equal scores


@pytest.mark.parametrize("n", [1, 3])
def test_per_user_is_filled_though_one_owner_is_nearest_with_all_photos(world: Planted, n: int) -> None:
    found = world[2].similar("p0210", k=30, encoder="ranked", per_user=n)
    assert len(found) == 30
    assert found["user_id"].value_counts()["count"].max() <= n
    many = world[2].find([photo_id(row) for row in range(205, 225)], k=30, encoder="ranked", per_user=n).photos
    assert many.group_by("query").len()["len"].to_list() == [30] * 20
    assert many.filter(query=5).drop("query").equals(found)


def test_many_queries_equal_each_alone(world: Planted) -> None:
    options = SearchOptions(
        k=7, encoder="ranked_cosine", per_user=1, other_users=True, popularity=0.4, diverse=0.2, where="weight > 1"
    )
    groups = [["p0001", "p0007"], "p0009", np.ones(DIM, np.float32), ["p0011"]]
    for one in (options, replace(options, popularity=0.0, diverse=None)):
        many = world[2].find(groups, one, unlike="p0100").photos
        for number, group in enumerate(groups):
            assert many.filter(query=number).drop("query").equals(world[2].similar(group, one, unlike=["p0100"]))


def test_owners_of_all_query_photos_are_left_out_and_those_to_be_unlike_are_not(world: Planted) -> None:
    found = world[2].similar(["p0001", "p0002"], k=N, encoder="ranked", other_users=True, unlike="p0003")
    assert {"o1", "o2"}.isdisjoint(found["user_id"])
    assert "o3" in set(found["user_id"])
    assert "p0003" not in set(found["photo_id"])


def test_a_photo_to_be_unlike_moves_the_results_away(world: Planted) -> None:
    _, X, searcher = world
    plain = searcher.similar("p0020", k=20, encoder="ranked_cosine")["photo_id"].to_list()
    other = plain[0]
    away = searcher.similar("p0020", k=20, encoder="ranked_cosine", unlike=other)["photo_id"].to_list()
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)

    def near(names: list[str]) -> float:
        return float(np.mean(unit[[int(name[1:]) for name in names]] @ unit[int(other[1:])]))

    assert near(away) < near([name for name in plain if name != other])


def test_diverse_results_are_farther_from_each_other(world: Planted) -> None:
    _, X, searcher = world
    apart = []
    for weight in (None, 0.5):
        found = searcher.similar("p0210", k=10, encoder="ranked", diverse=weight)["photo_id"].to_list()
        Y = X[[int(name[1:]) for name in found]]
        apart.append(np.linalg.norm(Y[:, None] - Y[None], axis=2).mean())
    assert apart[1] > 2 * apart[0]


def test_diversity_weighs_no_more_than_said_where_all_photos_are_about_as_far(world: Planted) -> None:
    _, X, searcher = world
    far = np.full(DIM, 1e4, np.float32)  # from here the photos differ by less than a thousandth
    found = searcher.similar(far, k=40, encoder="ranked", diverse=0.5)
    assert found["score"].is_between(-0.5, 0.5).all()
    distances = found["distance"].to_numpy()
    first, second = (X[int(name[1:])].astype(np.float64) for name in found["photo_id"].to_list()[:2])
    every = np.linalg.norm(X.astype(np.float64) - far, axis=1)
    likeness = (every.max() - distances[1]) / (every.max() - every.min())
    alike = 1 - np.linalg.norm(first - second) / every.max()
    assert found["score"][1] == pytest.approx(0.5 * likeness - 0.5 * alike, abs=1e-9)


def test_ten_thousand_query_photos_are_one_query(world: Planted) -> None:
    _, X, searcher = world
    rows = np.random.default_rng(0).integers(0, N - 20, 10_000)
    found = searcher.similar([photo_id(row) for row in rows], k=30, encoder="ranked")
    assert len(found) == N - len(set(rows.tolist()))
    q = X[rows].astype(np.float64).mean(axis=0)
    left = [row for row in range(N) if row not in set(rows.tolist())]
    expected = sorted(left, key=lambda row: np.linalg.norm(X[row] - q))
    assert [int(name[1:]) for name in found["photo_id"].to_list()] == expected


def test_contradictions_are_refused(world: Planted) -> None:
    searcher = world[2]
    for like, unlike in (("p0001", "p0001"), (["p0001", "p0002"], ["p0002", "p0001"]), ("p0008", "p0009")):
        with pytest.raises(InputError, match="same mean vector"):
            searcher.similar(like, encoder="ranked_cosine", unlike=unlike)
    opposite = np.arange(1, DIM + 1, dtype=np.float32)
    with pytest.raises(InputError, match="cancel each other"):
        searcher.similar([opposite, -opposite], encoder="ranked_cosine")
    with pytest.raises(InputError, match="no photo"):
        searcher.similar([], encoder="ranked")


@pytest.mark.parametrize(
    "given",
    [
        {"popularity": 1.5},
        {"popularity": -0.1},
        {"popularity": float("nan")},
        {"diverse": 2},
        {"diverse": float("inf")},
        {"per_user": 0},
        {"per_user": -1},
        {"per_user": 1.5},
        {"popularity_by": "likes"},
        {"popular_within": "genders"},
        {"popular_within": ""},
        {"popular_within": "users.gender; drop table photos"},
        {"popular_within": 'users."gender"'},
        {"k": 5000, "diverse": 0.5},
    ],
)
def test_values_out_of_range_are_refused(world: Planted, given: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"Expected|expected"):
        world[2].similar("p0001", encoder="ranked", **given)  # type: ignore[arg-type]


def test_the_index_orders_a_pool_and_says_so(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, _ = planted(tmp_path_factory.mktemp("ivf"))
    monkeypatch.setattr("photogenic.features.search.ivf.EXACT_BYTES", 0)
    monkeypatch.setattr("photogenic.features.search.ivf._MIN_PHOTOS", 100)
    monkeypatch.setattr(ranking, "_INDEX_POOL", 60)
    monkeypatch.setattr(ranking, "_INDEX_POOL_PER_RESULT", 6)
    (db.layout.index("ranked") / "manifest.json").unlink()
    assert index.build(Store(db), "ranked", recall=0.9).kind.startswith("IVF")
    with Searcher(Store(db)) as searcher:
        queries = [photo_id(row) for row in range(0, 200, 9)]
        for given in ({"popularity": 0.4}, {"diverse": 0.3}, {"popularity": 0.4, "per_user": 2}, {"per_user": 1}):
            found = searcher.find(queries, k=8, encoder="ranked", exact=False, **given)  # type: ignore[arg-type]
            assert found.plan.way == "ivf"
            assert found.photos.group_by("query").len()["len"].to_list() == [8] * len(queries)
            assert any("Searched by the index" in note for note in found.notes)
        near = searcher.find(["p0001"], k=60, encoder="ranked", exact=False).photos["photo_id"].to_list()
        pooled = searcher.find(["p0001"], k=8, encoder="ranked", exact=False, popularity=0.9).photos
        assert set(pooled["photo_id"]) <= set(near) | {"p0001"}
        alone = searcher.find(["p0210"], k=39, encoder="ranked", exact=False, per_user=1).photos
        assert alone["user_id"].n_unique() == len(alone) == 39  # one owner fills the pool, so exact search answers

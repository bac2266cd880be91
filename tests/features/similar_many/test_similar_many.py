"""Many queries at once: the same rows as one at a time, no query lost, memory that does not grow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from photogenic.features.search.options import SearchOptions
from photogenic.features.search.searcher import Searcher
from photogenic.features.similar_many import files as query_files
from photogenic.features.similar_many import search as many_module
from photogenic.features.similar_many.files import read_queries
from photogenic.features.similar_many.queries import PROBLEMS, PhotoId, QueryBlock, blocks_of
from photogenic.features.similar_many.search import block_size, many_of
from photogenic.warehouse import Database, InputError, Store
from tests.features.search.test_searcher import DIM, N, names, world

TOY = SearchOptions(k=3, encoder="toy")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, np.ndarray]:
    return world(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def searcher(store: tuple[Database, np.ndarray]) -> Iterator[Searcher]:
    with Searcher(Store(store[0])) as opened:
        yield opened


def answer(searcher: Searcher, queries: Any, options: SearchOptions = TOY, size: int = 7, **more: Any) -> pl.DataFrame:
    many = many_of(searcher, options, **more)
    batches = list(many.batches(blocks_of(queries, size)))
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, many.schema)))
    counts = many.counts
    assert counts.n_queries == counts.n_answered + sum(counts.problems.values()) == frame["query_no"].n_unique()
    assert counts.n_rows == frame["rank"].count() == frame["problem"].null_count()
    assert frame["query_no"].unique().sort().to_list() == list(range(1, counts.n_queries + 1))
    return frame


@pytest.mark.parametrize("where", [None, "gender = 'female'"])
@pytest.mark.parametrize("encoder", ["toy", "toy_cosine"])
def test_each_query_is_answered_as_alone(searcher: Searcher, where: str | None, encoder: str) -> None:
    options = SearchOptions(k=4, encoder=encoder, where=where)
    queries = names(range(0, N, 7))
    frame = answer(searcher, queries, options)
    assert frame["problem"].null_count() == len(frame)
    for number, query in enumerate(queries, 1):
        alone = searcher.similar(query, options)
        mine = frame.filter(pl.col("query_no") == number)
        assert mine["query"].unique().to_list() == [query]
        assert mine.select(alone.columns).rows() == alone.rows()


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(k=4, encoder="toy", per_user=1, other_users=True),
        SearchOptions(k=4, encoder="toy_cosine", popularity=0.4, where="weight > 2"),
        SearchOptions(k=4, encoder="toy", diverse=0.5, popular=True, popular_within="gender"),
    ],
    ids=["owners", "popularity", "diverse"],
)
@pytest.mark.parametrize("unlike", [[], ["p0007", "p0011"]], ids=["", "unlike"])
def test_every_rule_of_ranking_holds_for_each_query(
    searcher: Searcher, options: SearchOptions, unlike: list[str]
) -> None:
    queries = names(range(0, N, 40))
    frame = answer(searcher, queries, options, size=3, unlike=unlike)
    for number, query in enumerate(queries, 1):
        alone = searcher.similar(query, options, unlike=unlike)
        mine = frame.filter(pl.col("query_no") == number, pl.col("problem").is_null())
        assert mine.select(alone.columns).rows() == alone.rows()


def test_a_query_that_is_also_to_be_unlike_is_a_problem_of_its_own(searcher: Searcher) -> None:
    frame = answer(searcher, ["p0001", "p0002"], unlike=["p0002"])
    assert frame.group_by("query_no", maintain_order=True).first()["problem"].to_list() == [None, "cancelled"]


def test_photos_files_and_vectors_are_mixed_and_keep_their_order(
    store: tuple[Database, np.ndarray], searcher: Searcher
) -> None:
    frame = answer(searcher, ["p0005", store[1][5], list(map(float, store[1][5])), "p0005"])
    first = frame.group_by("query_no", maintain_order=True).first()
    assert first["query"].to_list() == ["p0005", "2", "3", "p0005"]
    assert first["photo_id"].to_list()[1:3] == ["p0005", "p0005"]
    assert first["photo_id"].to_list()[0] == first["photo_id"].to_list()[3] != "p0005"


def test_a_bad_query_does_not_lose_the_others(searcher: Searcher, tmp_path: Path) -> None:
    (tmp_path / "not.jpg").write_text("no picture")
    bad = np.full(DIM, np.nan)
    queries = [
        *("p0001", "nobody", "p0002", "", None, "x" * 1_000_000, "nul\0", "☃ Ω 日本", PhotoId("p0003")),
        *(np.zeros(DIM - 1), bad, np.full(DIM, 1e39), np.zeros((2, DIM)), tmp_path / "none.jpg"),
    ]
    frame = answer(searcher, queries)
    problems = frame.filter(pl.col("problem").is_not_null())
    by_number = dict(zip(problems["query_no"], problems["problem"], strict=True))
    assert by_number == {
        2: "unknown_photo",
        4: "no_query",
        5: "no_query",
        6: "unknown_photo",
        7: "unknown_photo",
        8: "unknown_photo",
        10: "wrong_dimension",
        11: "not_finite",
        12: "not_finite",
        13: "wrong_dimension",
        14: "unknown_photo",
    }
    assert set(by_number.values()) <= set(PROBLEMS)
    assert problems["detail"].str.len_chars().max() < 200
    assert frame.filter(pl.col("query_no") == 8)["query"].to_list() == ["☃ Ω 日本"]
    assert frame.filter(pl.col("query_no").is_in([1, 3, 9])).height == 9


def test_the_path_of_a_file_is_no_photo_id(searcher: Searcher, tmp_path: Path) -> None:
    """The API takes only ids of photos: a client must not learn which files the server has."""
    file = tmp_path / "there.jpg"
    file.write_bytes(b"x")
    frame = answer(searcher, [PhotoId(str(file))])
    assert frame["problem"].to_list() == ["unknown_photo"]
    assert "file" not in frame["detail"][0].partition("'")[0]


def test_a_query_that_no_photo_matches_says_so(searcher: Searcher) -> None:
    frame = answer(searcher, ["p0001", "p0002"], SearchOptions(encoder="toy", where="photo_id = 'p0001'"))
    assert frame.select("query", "photo_id", "problem").rows() == [
        ("p0001", None, "no_match"),
        ("p0002", "p0001", None),
    ]


def test_strict_raises_at_the_first_bad_query(searcher: Searcher) -> None:
    with pytest.raises(InputError, match=r"Query 9, 'nobody', is unknown_photo"):
        answer(searcher, [*names(range(8)), "nobody", *names(range(8))], strict=True)


def test_one_string_is_not_many_queries(searcher: Searcher) -> None:
    with pytest.raises(InputError, match="several"):
        answer(searcher, "p0001")
    with pytest.raises(InputError, match=r"Query 2 is of type dict"):
        answer(searcher, ["p0001", {}])


def test_no_queries_are_no_rows(searcher: Searcher) -> None:
    assert answer(searcher, []).is_empty()
    assert answer(searcher, np.empty((0, DIM), np.float32)).is_empty()


def test_an_iterator_is_read_a_block_at_a_time(searcher: Searcher) -> None:
    taken = 0

    def queries() -> Iterator[str]:
        nonlocal taken
        for _ in range(10**9):
            taken += 1
            yield "p0001"

    many = many_of(searcher, TOY)
    stream = many.batches(blocks_of(queries(), many.block))
    assert next(stream).num_rows == many.block * 3
    assert taken == many.block


def test_blocks_are_smaller_where_more_is_fetched() -> None:
    assert block_size(1) > block_size(100) > block_size(1000) >= 16
    assert all((k + 16) * block_size(k) <= many_module._CANDIDATES or block_size(k) == 16 for k in (1, 10, 100, 10**6))


def test_the_schema_says_how_the_search_was_made(searcher: Searcher) -> None:
    said = {key.decode(): json.loads(value) for key, value in many_of(searcher, TOY).schema.metadata.items()}
    generation = searcher.cache.index("toy").manifest.generation
    assert said["encoder"] == "toy"
    assert said["generation"] == generation
    assert said["recall"] == 1
    assert said["n_matching"] == N
    assert "all labels of the same source" in said["population"]
    within = many_of(searcher, SearchOptions(encoder="toy", popular=True, popular_within="gender"))
    assert json.loads(within.schema.metadata[b"population"]) == "the labels of the same gender (gender)"


FORMATS = {
    "csv": lambda ids: "photo_id,note\n" + "".join(f"{name},x\n" for name in ids),
    "tsv": lambda ids: "Photo ID\tnote\n" + "".join(f"{name}\tx\n" for name in ids),
    "txt": "\n".join,
    "ndjson": lambda ids: "".join(json.dumps({"photo_id": name, "n": 1}) + "\n" for name in ids),
}


def read(path: Path, folder: Path, size: int = 4) -> list[QueryBlock]:
    with read_queries(path, folder, size) as blocks:
        return list(blocks)


@pytest.mark.parametrize("form", FORMATS)
def test_text_files_are_read_as_in_ingest(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"ids.{form}"
    path.write_text(FORMATS[form](names(range(10))))
    blocks = read(path, tmp_path)
    assert [name for block in blocks for name in block.names] == names(range(10))
    assert max(map(len, blocks)) <= 4
    assert not any(block.problems for block in blocks)


def test_a_file_without_a_header_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("p0001\np0002\n\np0003")
    assert [name for block in read(path, tmp_path) for name in block.names] == ["p0001", "p0002", "p0003"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columns_of_ids_and_vectors_are_read(tmp_path: Path, form: str) -> None:
    X = np.arange(30, dtype=np.float32).reshape(10, 3)
    frame = pl.DataFrame({"photo_id": names(range(10)), "embedding": pl.Series(X, dtype=pl.Array(pl.Float32, 3))})
    path = tmp_path / f"vectors.{form}"
    frame.write_parquet(path) if form == "parquet" else frame.write_ipc(path)
    blocks = read(path, tmp_path)
    assert [name for block in blocks for name in block.names] == names(range(10))
    assert np.array_equal(np.concatenate([np.asarray(block.queries) for block in blocks]), X)


def test_ragged_and_missing_vectors_are_problems_of_their_rows(tmp_path: Path, searcher: Searcher) -> None:
    path = tmp_path / "ragged.parquet"
    pl.DataFrame({"embedding": [[0.0] * DIM, None, [1.0] * 3, [None] * DIM, []]}).write_parquet(path)
    many = many_of(searcher, TOY)
    table = pa.Table.from_batches(many.batches(read(path, tmp_path, 10)))
    frame = pl.DataFrame(pl.from_arrow(table)).unique("query_no", maintain_order=True)
    assert frame["problem"].to_list() == [None, "no_query", "wrong_dimension", "not_finite", "wrong_dimension"]


def test_vectors_of_numpy_are_read(tmp_path: Path) -> None:
    X = np.arange(30, dtype=np.float64).reshape(10, 3)
    np.save(tmp_path / "vectors.npy", X)
    blocks = read(tmp_path / "vectors.npy", tmp_path)
    assert np.array_equal(np.concatenate([np.asarray(block.queries) for block in blocks]), X)
    assert blocks[-1].names[-1] == "10"


def test_numpy_files_with_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"objects\.npy"):
        read(tmp_path / "objects.npy", tmp_path)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(InputError, match="shape"):
        read(tmp_path / "flat.npy", tmp_path)


@pytest.mark.parametrize("form", ["parquet", "arrow", "npy"])
def test_a_truncated_file_is_an_error_with_its_name(tmp_path: Path, form: str) -> None:
    path, whole = tmp_path / f"cut.{form}", io.BytesIO()
    frame = pl.DataFrame({"photo_id": names(range(N))})
    if form == "npy":
        np.save(whole, np.zeros((N, 3)))
    else:
        getattr(frame, {"parquet": "write_parquet", "arrow": "write_ipc"}[form])(whole)
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) * 2 // 3])
    with pytest.raises(InputError, match=f"cut.{form}"):
        read(path, tmp_path)


def test_a_file_without_a_known_column_names_those_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"a, b.*\n?.*photo_id"):
        read(path, tmp_path)
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="columns a"):
        read(tmp_path / "other.parquet", tmp_path)


def test_rows_that_cannot_be_read_stay_in_the_answer(tmp_path: Path, searcher: Searcher) -> None:
    path = tmp_path / "ids.csv"
    long = "x" * 70_000
    path.write_bytes(
        f'photo_id,n\np0001,1\n"open,2\n\xff\n,3\n{long},4\np0002,5\n'.encode("latin-1") + "é,6\n".encode()
    )
    many = many_of(searcher, TOY)
    table = pa.Table.from_batches(many.batches(read(path, tmp_path, 10)))
    frame = pl.DataFrame(pl.from_arrow(table)).unique("query_no", maintain_order=True)
    assert frame["problem"].to_list() == [
        *(None, "unreadable_row", "unreadable_row", "no_query", "unreadable_row", None, "unknown_photo"),
    ]
    assert many.counts.n_queries == 7


def test_long_texts_of_parquet_are_not_read_whole(tmp_path: Path) -> None:
    pl.DataFrame({"query": ["p0001", "x" * 1_000_000]}).write_parquet(tmp_path / "long.parquet")
    (block,) = read(tmp_path / "long.parquet", tmp_path)
    assert block.problems == {1: ("unreadable_row", "too_long: 1,000,000 bytes")}
    assert len(block.names[1]) <= query_files._LONGEST

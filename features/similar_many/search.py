"""Search with many queries at once: a stream of Arrow whose memory does not depend on the number of queries.

    many = many_of(searcher, SearchOptions(k=5, popular=True))
    for batch in many.batches(blocks_of(photo_ids, many.block)):
        ...

The index, the snapshot, the matching photos and the way to search are chosen once, so that every query of a stream is
answered alike. Each query has at least one row: its results, or one row with `problem` and `detail` (query_blocks.py).
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pa, pl
from photogenic.features.search.combine import CombinedQueries, Query, combine, parts_of
from photogenic.features.search.filters import PhotoFilter
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.planner import BATCH, Plan, choose
from photogenic.features.search.popularity import describe
from photogenic.features.search.queries import Embed, resolve
from photogenic.features.search.searcher import Found, Searcher, search
from photogenic.features.similar_many.queries import PROBLEMS, QueryBlock, Usable, usable
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.duckdb_store.interrupt import interruptible
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import Instant, Moments
from photogenic.warehouse.progress import Progress, no_progress

__all__ = ["Counts", "ManySearch", "block_size", "counted", "described", "many_of"]

_CANDIDATES = 1 << 16
"""Results per block of queries, fetched candidates included: some hundred MB of vectors in float64 at most."""

_MOST, _LEAST = 4096, BATCH

_LONGEST = 4096
"""Characters of a query in the column `query`; no photo id is longer, and `query_no` names each query."""

_SCHEMA = (
    ("query_no", "int64"),
    ("query", "string"),
    ("rank", "int64"),
    ("photo_id", "string"),
    ("user_id", "string"),
    ("distance", "float64"),
    ("like_ratio", "float64"),
    ("weight", "float64"),
    ("percentile", "float64"),
    ("popular", "bool"),
    ("path", "string"),
    ("score", "float64"),
    ("problem", "string"),
    ("detail", "string"),
)
"""Columns of the answer; `score` only where the order is not that of distance."""


def block_size(k: int) -> int:
    """Number of queries that are searched at once."""
    return min(max(_CANDIDATES // (k + 16), _LEAST), _MOST)


def described(candidates: PhotoFilter, options: SearchOptions, plan: Plan, recall: float) -> dict[str, Any]:
    """What an answer says about the search besides its results."""
    known = candidates.index.manifest
    return {
        "encoder": known.encoder,
        "generation": known.generation,
        "plan": f"{plan.way}: {plan.why}",
        "recall": recall,
        "n_matching": len(candidates),
        "population": describe(options.selection.population),
    }


@dataclass(slots=True)
class Counts:
    """Counts of a search: n_queries = n_answered + the sum of problems.

    Attributes:
        n_queries: queries so far.
        n_answered: those with results.
        n_rows: results.
        problems: number of the other queries, by problem.
    """

    n_queries: int = 0
    n_answered: int = 0
    n_rows: int = 0
    problems: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        said = f"{self.n_queries:,} queries: {self.n_answered:,} answered with {self.n_rows:,} photos"
        refused = ", ".join(f"{n:,} {problem}" for problem, n in sorted(self.problems.items()))
        return f"{said}, {sum(self.problems.values()):,} without an answer: {refused}." if refused else f"{said}."


class ManySearch:
    """One search with many queries.

    Args:
        candidates: photos that may be results.
        options: options of the search.
        con: a reading connection on the snapshot of the candidates.
        embed: function from files to vectors of the encoder.
        models: folder of the store with fine-tuned encoders.
        unlike: photos, files and vectors that the results of every query should be unlike.
        n_queries: number of queries if it is known; it decides between the index and exact search.
        strict: whether the first query with a problem ends the search.

    Attributes:
        schema: columns of the answer, with encoder, generation, plan and so on as metadata.
        counts: counts of the blocks that were answered.
        plan: how the search is carried out.
        recall: 1 when exact, else the index's measured recall@10.
    """

    def __init__(
        self,
        candidates: PhotoFilter,
        options: SearchOptions,
        con: duckdb.DuckDBPyConnection,
        embed: Embed,
        models: Path,
        *,
        unlike: Sequence[Query] = (),
        n_queries: int | None = None,
        strict: bool = False,
    ) -> None:
        index, known = candidates.index, candidates.index.manifest
        n_expected = _MOST if n_queries is None else n_queries
        self.plan: Plan = choose(
            *(n_expected, len(candidates), len(index), known.dim),
            has_ivf=index.ivf is not None,  # loaded now: a later build may remove the file
            exact=options.exact,
        )
        self.recall = 1.0 if self.plan.way == "exact" else known.recall_at_10
        self.options = replace(options, exact=self.plan.way == "exact")
        self.candidates, self.counts, self.block = candidates, Counts(), block_size(options.k)
        self._unlike = resolve(lambda: con, index, embed, unlike, models=models)
        self._notes: dict[str, None] = {}
        self._con, self._embed, self._models, self._strict = con, embed, models, strict
        self.said = described(candidates, options, self.plan, self.recall)
        names = [name for name, _ in _SCHEMA if name != "score" or not options.is_by_distance]
        types = dict(_SCHEMA)
        self.schema = pa.schema(
            [pa.field(name, pa.type_for_alias(types[name])) for name in names],
            metadata={name: json.dumps(value) for name, value in self.said.items()},
        )

    def batches(self, blocks: Iterable[QueryBlock]) -> Iterator[pa.RecordBatch]:
        """Answer each block with one batch.

        Raises:
            InputError: the search is strict, and a query has a problem.
        """
        for block in blocks:
            yield self.answer(block)

    def answer(self, block: QueryBlock) -> pa.RecordBatch:
        """Answer one block, in order of the queries and of rank."""
        with interruptible(self._con):
            found = usable(self._con, self.candidates.index, self._embed, block, models=self._models)
        places, combined = self._combined(found)
        if self._strict and found.problems:
            self._refuse(block, min(found.problems), found.problems)
        answered = search(self.candidates, combined, self.options) if len(places) else None
        if answered is not None:
            self._notes |= dict.fromkeys(answered.notes)
        return _batch(self._frame(block, answered, places, found.problems), self.schema)

    def notes(self) -> list[str]:
        """What a reader of the results should know, in whole sentences."""
        counts = [str(self.counts)] if self.counts.problems else []
        return counts + list(self._notes)

    def _combined(self, found: Usable) -> tuple[NDArray[np.int64], CombinedQueries]:
        """The positions of queries and their vectors, moved away from what they should be unlike."""
        other, metric = self._unlike, self.candidates.index.manifest.metric
        stays, vectors = list[int](), list[NDArray[np.float32]]()
        if not len(other.vectors):
            stays, every = list(range(len(found.places))), found.vectors
        else:
            for at, place in enumerate(found.places.tolist()):
                try:
                    vectors.append(combine(found.vectors[at : at + 1], other.vectors, metric))
                    stays.append(at)
                except InputError as error:
                    found.problems[place] = "cancelled", error.what
            every = np.stack(vectors) if vectors else found.vectors[:0]
        away = other.rows[other.rows >= 0]
        own = [np.append(row, away)[int(row < 0) :] for row in found.rows[stays]]
        owners = [frozenset([owner] if (owner := found.owners[at]) is not None else []) for at in stays]
        return found.places[stays], CombinedQueries(every, own, owners)

    def _frame(
        self,
        block: QueryBlock,
        answered: Found | None,
        places: NDArray[np.int64],
        problems: dict[int, tuple[str, str]],
    ) -> pl.DataFrame:
        parts = []
        n_answered = n_rows = 0
        if answered is not None:
            place = places[answered.photos["query"].to_numpy()]
            parts.append(answered.photos.drop("query").with_columns(pl.Series("place", place, pl.Int64)))
            has_results = np.zeros(len(block), np.bool_)
            has_results[place] = True
            n_answered, n_rows = int(has_results.sum()), len(place)
            matching = f"{len(self.candidates):,} photos match"
            problems |= {int(at): ("no_match", matching) for at in places if not has_results[at]}
        if problems:
            without = sorted(problems)
            parts.append(
                pl.DataFrame(
                    {
                        "place": pl.Series(without, dtype=pl.Int64),
                        "problem": [problems[at][0] for at in without],
                        "detail": [problems[at][1] for at in without],
                    }
                )
            )
        frame = pl.concat(parts, how="diagonal").sort("place", maintain_order=True) if len(parts) > 1 else parts[0]
        frame = frame.with_columns(
            (pl.col("place") + self.counts.n_queries + 1).alias("query_no"),
            pl.Series("query", [name[:_LONGEST] for name in block.names], pl.String).gather(frame["place"]),
        )
        self.counts.n_queries += len(block)
        self.counts.n_answered += n_answered
        self.counts.n_rows += n_rows
        self.counts.problems.update(problem for problem, _ in problems.values())
        return frame

    def _refuse(self, block: QueryBlock, place: int, problems: dict[int, tuple[str, str]]) -> None:
        code, detail = problems[place]
        name = block.names[place]
        raise InputError(
            f"Query {self.counts.n_queries + place + 1}, {name[:80]!r}, is {code}: {detail}.",
            f"only queries without a problem. {PROBLEMS[code]}",
            "leave it out, or leave out strict: then it has a row with its problem",
        )


def _batch(frame: pl.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    missing = [name for name in schema.names if name not in frame.columns]
    table = frame.with_columns(pl.lit(None).alias(name) for name in missing).select(schema.names).to_arrow()
    (batch,) = table.cast(schema).combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema)]
    return batch


def many_of(
    searcher: Searcher,
    options: SearchOptions,
    *,
    unlike: Query | Sequence[Query] = (),
    as_of: Instant | None = None,
    known_at: Instant | None = None,
    n_queries: int | None = None,
    strict: bool = False,
) -> ManySearch:
    """Prepare a search with many queries in the store of a searcher.

    Raises:
        QueryError: `where` cannot be evaluated.
        StoreError: the encoder has no index.
    """
    moments = Moments.of(as_of, known_at) if as_of is not None or known_at is not None else Moments()
    cache = searcher.cache
    name = options.encoder or cache.default_encoder()
    with map_engine_errors(cache.layout):
        candidates = cache.photo_filter(name, options.selection, moments=moments)
        con = cache.cursor()
    return ManySearch(
        *(candidates, options, con, lambda paths: cache.embed(name, paths), cache.layout.models),
        unlike=parts_of(unlike),
        n_queries=n_queries,
        strict=strict,
    )


@contextlib.contextmanager
def counted(
    blocks: Iterable[QueryBlock], progress: Progress = no_progress, n_queries: int | None = None
) -> Iterator[Iterator[QueryBlock]]:
    """Show the progress of the blocks that are taken."""
    with progress.stage("similar", n_queries, "queries") as advance:

        def each() -> Iterator[QueryBlock]:
            for block in blocks:
                yield block
                advance(len(block))

        yield each()

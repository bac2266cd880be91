"""Table 1: average like ratio by gender of sender and recipient, with intervals, beside the published figures.

Source: Bogatyy & Tom, table 1 (average like ratio by the genders of sender and recipient).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from photogenic import sql
from photogenic.models.evaluation.metrics import bootstrap, interval
from photogenic.warehouse import Database
from photogenic.warehouse.duckdb_store.query import require_labels

__all__ = ["PUBLISHED_BREAKDOWN", "Pair", "Window", "gender_table", "pairs_of"]

Window = Literal["latest", "every"]

PUBLISHED_BREAKDOWN = {
    ("female", "female"): 0.33,
    ("female", "male"): 0.24,
    ("male", "female"): 0.75,
    ("male", "male"): 0.31,
}
"""(gender of sender, gender of recipient) -> average like ratio."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell of table 1.

    Attributes:
        sender, recipient: gender of sender and recipient. None: unknown.
        like_ratio: likes per swipe, all swipes weighted equally; `low` and `high` are its interval over recipients.
        mean: mean like ratio, all recipients equally weighted.
        published: figure of the paper. None: the paper has none.
    """

    sender: str | None
    recipient: str | None
    n_recipients: int
    n_swipes: int
    like_ratio: float
    low: float | None
    high: float | None
    mean: float
    published: float | None


def gender_table(database: Database, *, window: Window = "latest", seed: int = 0) -> list[Pair]:
    """Return the cells of table 1, the published cells first; empty if there are no swipes.

    Args:
        database: database with labels.
        window: `latest`: swipes on the current main photo, as in the paper; `every`: swipes on any main photo.
        seed: seed of the bootstrap.

    Raises:
        StoreError: the store was never built.
    """
    with database.read() as con:
        require_labels(con)
        rows = con.execute(sql.read("training/breakdown"), {"window": window}).fetchall()
    return pairs_of(rows, seed=seed)


def pairs_of(rows: Iterable[tuple[Any, ...]], *, seed: int = 0) -> list[Pair]:
    """Compute table 1 from rows of `sql/training/breakdown.sql`.

    Args:
        rows: tuples of user_id, recipient_gender, sender_gender, n_swipes, n_likes.
        seed: seed of the bootstrap.
    """
    cells: dict[tuple[str | None, str | None], list[tuple[int, int]]] = {key: [] for key in PUBLISHED_BREAKDOWN}
    for _, recipient, sender, n_swipes, n_likes in rows:
        cells.setdefault((sender, recipient), []).append((n_swipes, n_likes))
    return [_pair(*key, counts, np.random.default_rng(seed)) for key, counts in cells.items() if counts]


def _pair(
    sender: str | None, recipient: str | None, counts: Iterable[tuple[int, int]], rng: np.random.Generator
) -> Pair:
    sums = np.array(list(counts), np.float64)  # (recipients, 2)
    n_swipes, n_likes = sums.sum(0)
    draws = bootstrap(sums, rng)
    low, high = interval(draws[:, 1] / draws[:, 0])
    mean = float(np.mean(sums[:, 1] / sums[:, 0]))
    published = PUBLISHED_BREAKDOWN.get((sender or "", recipient or ""))
    return Pair(sender, recipient, len(sums), int(n_swipes), float(n_likes / n_swipes), low, high, mean, published)

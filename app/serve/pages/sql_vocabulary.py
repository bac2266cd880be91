"""Contents of the SQL page: relations with their columns, keywords, and example queries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from photogenic.warehouse.catalog import Catalog, Relation

__all__ = ["EXAMPLES", "PAGES", "dictionary", "words"]

PAGES = (
    ("Gallery", "/"),
    ("Similar", "/similar"),
    ("SQL", "/sql"),
    ("Breakdown", "/breakdown"),
    ("Models", "/models"),
    ("Lineage", "/lineage"),
    ("Store", "/store"),
    ("API", "/api"),
)
"""Names and addresses of the pages."""

EXAMPLES = (
    (
        "Most liked",
        "select photo_id, value as like_ratio, weight, popular\n"
        "from photo_labels\n"
        "where source = 'swipes' and weight >= 20\n"
        "order by value desc\n"
        "limit 24",
    ),
    (
        "Who likes whom",
        "select sender_gender, recipient_gender, n_swipes, like_ratio, mean_like_ratio\n"
        "from gender_breakdown\n"
        "where time_window = 'latest'\n"
        "order by n_swipes desc",
    ),
    (
        "Swipes by day",
        "select cast(swiped_at as date) as day, count(*) as n_swipes, count(*) filter (liked) as n_likes\n"
        "from swipes\n"
        "group by day\n"
        "order by day",
    ),
    (
        "Like ratio by age of the photo",
        "select photo_age_s // 2592000 as months, count(*) as n_swipes, avg(liked::int) as like_ratio\n"
        "from photo_swipes\n"
        "where photo_id is not null\n"
        "group by months\n"
        "order by months",
    ),
    ("Why swipes do not count", "from swipe_audit order by n_swipes desc"),
    (
        "Largest surprises",
        "select photo_id, value as like_ratio, prediction, abs(value - prediction) as off\n"
        "from predictions\n"
        "inner join photo_labels using (photo_id)\n"
        "where source = 'swipes' and split = 'test' and weight >= 20\n"
        "order by off desc\n"
        "limit 24",
    ),
    (
        "Like the most liked photo",
        "select rank, similar_photos.photo_id, distance, like_ratio\n"
        "from (select photo_id from photo_labels order by value desc, photo_id limit 1) as liked,\n"
        "    similar(liked.photo_id, k := 24) as similar_photos\n"
        "order by rank",
    ),
    (
        "Like your picture",
        "select rank, photo_id, distance, like_ratio\nfrom similar($upload, k := 24)\norder by rank",
    ),
    ("Same picture", "select photo_id, other_id, reason, bits, distance from near_duplicates limit 100"),
    ("Heads", "select target, setup, encoder, head, dev, test, baseline, n_test from runs order by target, dev"),
)
"""Names and queries of the examples."""

_KEYWORDS = (
    "select from where group by order limit inner join left using on having with as distinct qualify over partition"
    " between case when then else end union all asc desc null not and or in exists true false count sum avg median"
    " min max round filter row_number quantile_cont date_trunc coalesce cast summarize describe"
)


def dictionary(catalog: Catalog) -> tuple[Relation, ...]:
    """Return the relations: those of the user's own first, then the most used ones."""
    return tuple(
        catalog.relation(name) for name in dict.fromkeys((*catalog.own, *_FIRST, *catalog.added, *catalog.names))
    )


_FIRST = (
    "photo_labels",
    "like_ratios",
    "gender_breakdown",
    "photos",
    "users",
    "swipes",
    "photo_swipes",
    "predictions",
    "runs",
)


def words(described: tuple[Relation, ...], functions: Iterable[str] = ()) -> dict[str, Any]:
    """Return the names that completion offers.

    Args:
        described: the relations.
        functions: table functions.
    """
    columns = {one.name: [column.name for column in one.columns] for one in described}
    return {"relations": columns, "keywords": [*_KEYWORDS.split(), *functions]}

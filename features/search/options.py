"""Options of a search for similar photos, declared once for the command line, Python, the HTTP API, SQL and the pages.

    store.similar("p17", SearchOptions(k=5, per_user=1))
    store.similar("p17", k=5, per_user=1)

`SearchArguments` repeats names and types, so that editors and type checkers know the keyword arguments; a test compares
it with the class. Which photos they select and how they order them: docs/guides/similar.md.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, TypedDict

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["POPULATIONS", "PhotoSelection", "PopularityBy", "SearchArguments", "SearchOptions", "population_of"]

PopularityBy: TypeAlias = Literal["like_ratio", "percentile"]

POPULATIONS = ("everyone", "gender", "band")
"""Populations of `popular_within` that need no column: all labeled photos, those of the same gender, those whose owners
have about as many followers."""

MOST_DIVERSE = 1000
"""Largest k with diversity: each photo is compared with all that were chosen before it."""

_COLUMN = re.compile(r"\w+\.\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class PhotoSelection:
    """What a search reads about photos before it compares vectors: the part of the options that is evaluated in SQL.

    Attributes:
        where: predicate; None: all photos.
        popular: whether only popular photos match.
        population: population that `popular` compares within; None: as the labels were built.
        popularity_by: popularity to read; None: it is not needed.
    """

    where: str | None = None
    popular: bool = False
    population: str | None = None
    popularity_by: PopularityBy | None = None


def population_of(text: str | None) -> str | None:
    """Check the population that `popular` compares within; None is that of the labels as they were built.

    Raises:
        InputError: it is neither one of `POPULATIONS` nor `relation.column`.
    """
    if text is None:
        return None
    name = text.strip() if isinstance(text, str) else ""
    if name in POPULATIONS or _COLUMN.fullmatch(name):
        return name
    raise InputError(
        f"--popular-within is {str(text)[:80]!r}.",
        f"one of {', '.join(POPULATIONS)}, or a column of a relation, relation.column",
        "--popular-within gender",
    )


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of a search for similar photos.

    Raises:
        InputError: a number is out of range, or a word is unknown.
    """

    k: Annotated[int, Help("Number of photos to return.", metavar="N")] = 10
    encoder: Annotated[
        str | None,
        Help(
            "Encoder whose embeddings are compared. Default: efficientnet_lite0 if it has an index, else dlib_face, "
            "else any.",
            metavar="NAME",
        ),
    ] = None
    where: Annotated[
        str | None,
        Help(
            "SQL condition on photos, their labels and their owners, e.g. \"gender = 'female'\". Default: all photos.",
            metavar="SQL",
        ),
    ] = None
    popular: Annotated[
        bool,
        Help("Return only popular photos: those with a label above the median of --popular-within."),
    ] = False
    popular_within: Annotated[
        str | None,
        Help(
            "Photos that a popular photo is compared with: everyone; gender, those of the same gender; band, those "
            "whose owners have about as many followers; or relation.column, those with the same value of a column. "
            "Default: everyone.",
            metavar="POPULATION",
        ),
    ] = None
    per_user: Annotated[int | None, Help("Most photos to return of one owner. Default: no limit.", metavar="N")] = None
    other_users: Annotated[bool, Help("Leave out the photos of the owners of the query photos.")] = False
    popularity: Annotated[
        float,
        Help(
            "Weight of popularity in the order, from 0, the nearest first, to 1, the most popular first.",
            metavar="WEIGHT",
        ),
    ] = 0.0
    popularity_by: Annotated[
        PopularityBy,
        Help(
            "Popularity that --popularity mixes in: like_ratio, which is smoothed, or percentile, among the labels of "
            "the same gender. A photo without a label counts as average."
        ),
    ] = "like_ratio"
    diverse: Annotated[
        float | None,
        Help(
            "Weight of diversity, from 0 to 1: how much a photo that is like one already returned moves back. "
            "Default: 0.",
            metavar="WEIGHT",
        ),
    ] = None
    exact: Annotated[
        bool | None,
        Help(
            "Return the true nearest photos, however long that takes. Default: only where it is quick.",
            option="exact",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(k=self.k, per_user=self.per_user, popularity=self.popularity, diverse=self.diverse)
        check_choices(self)
        population_of(self.popular_within)
        if self.diverse and self.k > MOST_DIVERSE:
            raise InputError(
                f"-k is {self.k} with --diverse.", f"at most {MOST_DIVERSE:,} diverse photos", f"-k {MOST_DIVERSE}"
            )

    @property
    def selection(self) -> PhotoSelection:
        """The part of the options that is evaluated in SQL."""
        by = self.popularity_by if self.popularity else None
        return PhotoSelection(self.where, self.popular, population_of(self.popular_within), by)

    @property
    def is_by_distance(self) -> bool:
        """Whether the order is that of distance; else results have a `score`."""
        return not self.popularity and not self.diverse


class SearchArguments(TypedDict, total=False):
    """The fields of `SearchOptions` as keyword arguments."""

    k: int
    encoder: str | None
    where: str | None
    popular: bool
    popular_within: str | None
    per_user: int | None
    other_users: bool
    popularity: float
    popularity_by: PopularityBy
    diverse: float | None
    exact: bool | None

"""Options of a label build, which each build records."""

import datetime as dt
import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["LabelOptions", "changed_options"]


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The choices behind photo_labels and photo_setups. The defaults are the published ones."""

    window: Annotated[
        Literal["latest", "every"],
        Help(
            "Swipes that count for the like ratio: latest for those since the last change of the main photo, every for "
            "those of all periods."
        ),
    ] = "latest"
    min_swipes: Annotated[
        int,
        Help(
            "Smallest number of swipes in the window with which a photo gets a label. It also moves the median of the "
            "labels, above which a photo is popular."
        ),
    ] = 1
    gender: Annotated[
        Literal["now", "then"],
        Help(
            "Gender that counts for a swipe: now for each user's newest one, then for the one that each user had at "
            "the swipe."
        ),
    ] = "now"
    split_seed: Annotated[int, Help("Seed of the split into train, dev and test.")] = 0
    earliest_post: Annotated[
        dt.datetime,
        Help(
            "Day before which the date of a post counts as unknown, as ISO 8601 in UTC. On the default day Instagram "
            "opened."
        ),
    ] = dt.datetime(2010, 10, 6)
    min_age_days: Annotated[
        int, Help("Smallest age of a post with a label, in days; younger posts still collect likes.")
    ] = 30
    hashtag: Annotated[
        str | None, Help("Use only posts with this hashtag, written without the #. Default: all posts.", metavar="TAG")
    ] = None
    follower_scale: Annotated[
        Literal["linear", "log"],
        Help("Scale of follower counts on which outliers are found: linear, or log for logarithms."),
    ] = "linear"
    mad_threshold: Annotated[
        float,
        Help(
            "Distance from the median follower count at which an owner becomes an outlier, in scaled median absolute "
            "deviations."
        ),
    ] = 3.0
    face_filter: Annotated[
        Literal["off", "lenient", "strict"],
        Help("Filter of posts by faces: off, or lenient or strict for only posts with a face of that confidence."),
    ] = "off"
    lenient_confidence: Annotated[
        float,
        Help("Smallest confidence of a face for the lenient face filter, from --face-confidence to 1."),
    ] = 0.5
    strict_confidence: Annotated[
        float,
        Help(
            "Smallest confidence of a face for the strict face filter, from --face-confidence to 1. Fewer posts pass, "
            "and fewer of them show no face."
        ),
    ] = 0.8
    normalise: Annotated[
        Literal["all", "band", "user"],
        Help(
            "Posts with which a post is compared: all, band for posts of owners with similar follower counts, or user "
            "for posts of the same owner. A post in the better half is popular."
        ),
    ] = "all"
    band_size: Annotated[int, Help("Number of posts in each band, if --normalise is band.")] = 100

    def __post_init__(self) -> None:
        check_choices(self)
        check(**asdict(self))
        if self.hashtag is not None:
            object.__setattr__(self, "hashtag", self.hashtag.lstrip("#").lower())

    def recorded(self) -> dict[str, object]:
        """Return the options as values of JSON."""
        return {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in asdict(self).items()}


def changed_options(options: LabelOptions, changes: Mapping[str, Any]) -> LabelOptions:
    """Return the options with those replaced that are named.

    Raises:
        InputError: an option is unknown, or its value is out of range.
    """
    known = [field.name for field in fields(LabelOptions)]
    for name in changes:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1) or known[1:2]
            raise InputError(
                f"There is no label option {name!r}.", f"one of {', '.join(known)}", f"labels={{{near[0]!r}: ...}}"
            )
    return replace(options, **changes)

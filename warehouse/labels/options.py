"""Options of a label build, which each build records."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["LabelOptions"]


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The choices behind photo_labels and photo_setups. The defaults are the published ones."""

    window: Annotated[
        Literal["latest", "every"],
        Help("Swipes that the like ratio counts: latest, since the last change of main photo; every, of all periods."),
    ] = "latest"
    min_swipes: Annotated[int, Help("Smallest number of swipes in the window for a photo to get a label.")] = 1
    split_seed: Annotated[int, Help("Seed of the split into train, dev and test.")] = 0
    earliest_post: Annotated[
        dt.datetime,
        Help(
            "Date before which a post's date counts as unknown, as ISO 8601 in UTC. The default is the day on which "
            "Instagram opened."
        ),
    ] = dt.datetime(2010, 10, 6)
    min_age_days: Annotated[
        int, Help("Smallest age of a post in days for it to get a label; younger posts still collect likes.")
    ] = 30
    hashtag: Annotated[str | None, Help("Use only posts with this hashtag, without the #. Default: all posts.")] = None
    follower_scale: Annotated[
        Literal["linear", "log"],
        Help("Scale on which outliers among follower counts are found: linear, or log for their logarithms."),
    ] = "linear"
    mad_threshold: Annotated[
        float,
        Help(
            "Distance from the median follower count, in scaled median absolute deviations, from which on an owner is "
            "an outlier."
        ),
    ] = 3.0
    face_filter: Annotated[
        Literal["off", "lenient", "strict"],
        Help("Filter of posts by faces: off, or only posts with a face at the lenient or the strict confidence."),
    ] = "off"
    lenient_confidence: Annotated[
        float,
        Help("Detector confidence of the lenient face filter, from the smallest confidence of a face to 1."),
    ] = 0.5
    strict_confidence: Annotated[
        float,
        Help(
            "Detector confidence of the strict face filter, from the smallest confidence of a face to 1; fewer posts "
            "pass, and fewer of them show no face."
        ),
    ] = 0.8
    normalise: Annotated[
        Literal["all", "band", "user"],
        Help(
            "Posts among which a post is popular if it is in the better half: all posts, a band of owners with similar "
            "follower counts, or the same user's."
        ),
    ] = "all"
    band_size: Annotated[int, Help("Number of posts per band.")] = 100

    def __post_init__(self) -> None:
        check_choices(self)
        check(**asdict(self))
        if self.hashtag is not None:
            object.__setattr__(self, "hashtag", self.hashtag.lstrip("#").lower())

    def recorded(self) -> dict[str, object]:
        """Return the options as values of JSON."""
        return {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in asdict(self).items()}

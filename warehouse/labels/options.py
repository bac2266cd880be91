"""Options of a label build, which each build records."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args, get_type_hints

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.option_ranges import check

__all__ = ["LabelOptions"]


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """Options of photo_labels and photo_setups. The defaults are those of the published papers.

    Attributes:
        window: time window of the like ratio: `latest`, since the last change of main photo; `every`, all main periods.
        min_swipes: least number of swipes in the window for a label.
        split_seed: seed of the split into train, dev and test.
        earliest_post: UTC instant; a post dated before it has a wrong date. Instagram opened on 2010-10-06.
        min_age_days: least age of a post in days; younger posts are still collecting likes.
        hashtag: hashtag without the # that posts must have. Default: all posts.
        follower_scale: scale on which owners are outliers: follower counts or their logarithms.
        mad_threshold: distance from the median beyond which an owner is an outlier, in scaled MADs.
        face_filter: whether a post must show a face, at `lenient_confidence` or at `strict_confidence`.
        lenient_confidence: least confidence of the detector for the lenient filter, 0.5 to 1.
        strict_confidence: least confidence of the detector for the strict filter, 0.5 to 1.
        normalise: group of posts whose upper half is popular: all, a band of similar audience, or the owner's posts.
        band_size: number of posts per band.
    """

    window: Literal["latest", "every"] = "latest"
    min_swipes: int = 1
    split_seed: int = 0
    earliest_post: dt.datetime = dt.datetime(2010, 10, 6)
    min_age_days: int = 30
    hashtag: str | None = None
    follower_scale: Literal["linear", "log"] = "linear"
    mad_threshold: float = 3.0
    face_filter: Literal["off", "lenient", "strict"] = "off"
    lenient_confidence: float = 0.5
    strict_confidence: float = 0.8
    normalise: Literal["all", "band", "user"] = "all"
    band_size: int = 100

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            allowed, value = get_args(hints[field.name]), getattr(self, field.name)
            if allowed and isinstance(allowed[0], str) and value not in allowed:
                raise _wrong(field.name, value, f"one of {', '.join(allowed)}", allowed[0])
        check(**asdict(self))
        if self.hashtag is not None:
            object.__setattr__(self, "hashtag", self.hashtag.lstrip("#").lower())

    def recorded(self) -> dict[str, object]:
        """Return the options as values of JSON."""
        return {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in asdict(self).items()}


def _wrong(name: str, value: object, expected: str, example: object) -> InputError:
    return InputError(f"{name} is {value!r}.", expected, f"--{name.replace('_', '-')} {example}")

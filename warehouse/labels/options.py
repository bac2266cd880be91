"""What a label build can be told: one frozen value object, recorded with each build."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args, get_type_hints

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.option_ranges import check

__all__ = ["LabelOptions"]


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The choices behind photo_labels and photo_setups. The defaults are the published ones.

    Attributes:
        window: which like ratio is the label: since the last change of main photo, or whenever it was main.
        min_swipes: photos with fewer swipes in the window get no label.
        split_seed: another number, another division into train, dev and test.
        earliest_post: UTC; posts dated before it have lost their date. Instagram opened on 2010-10-06.
        min_age_days: posts online for a shorter time are still collecting likes.
        hashtag: only posts with it, without the #. None: all posts.
        follower_scale: whether outliers are sought among follower counts or their logarithms.
        mad_threshold: scaled median absolute deviations from the median beyond which an owner is an outlier.
        face_filter: whether a post must show a face, at `lenient_confidence` or at `strict_confidence`.
        lenient_confidence: of the detector, from that of the faces that are kept (0.5) to 1.
        strict_confidence: of the detector, likewise; fewer posts pass, and fewer of them show nobody.
        normalise: among which posts the better half is sought: all, a band of similar audience, the owner's own.
        band_size: posts per band.
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
        """As JSON can hold it."""
        return {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in asdict(self).items()}


def _wrong(name: str, value: object, expected: str, example: object) -> InputError:
    return InputError(f"{name} is {value!r}.", expected, f"--{name.replace('_', '-')} {example}")

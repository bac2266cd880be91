"""Options of a build, declared once for `features build` and `FeatureStore.build`.

    build(store, BuildOptions(encoders=["dlib_face"], only="embeddings"))
    store.build(encoders=["dlib_face"], only="embeddings")

`BuildArguments` repeats names and types, so that editors and type checkers know the keyword arguments; a test keeps
both equal.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from photogenic.features.faces.settings import FaceSettings
from photogenic.warehouse.errors import ConflictError, InputError
from photogenic.warehouse.labels.options import LabelOptions, changed_options
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["NEEDED", "BuildArguments", "BuildOptions", "Engine", "Step", "runs"]

Step = Literal["labels", "faces", "embeddings", "features", "index"]
Engine = Literal["duckdb", "spark"]


NEEDED: dict[Step, tuple[str, ...]] = {
    "embeddings": ("encoders", "flip", "decoded"),
    "features": ("features", "retry_features"),
    "index": ("index_memory", "neighbours", "near_duplicates"),
}
"""Step -> the options that have no effect where it does not run."""


def runs(only: Step | None, step: Step) -> bool:
    """Whether the options of a step have an effect in a build of `only` one step; an index is made of encoders too."""
    return only in (None, step) or (only == "index" and step == "embeddings")


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of a build.

    Raises:
        InputError: an option has an invalid value, or labels need faces below the stored confidence.
        ConflictError: an option has no effect on the only step that runs.
    """

    encoders: Annotated[
        Sequence[str] | None,
        Help(
            "Encoder to compute embeddings with; may be given several times. Default: efficientnet_lite0, dlib_face "
            "and every encoder with embeddings in the store.",
            option="encoder",
            heading="Embeddings",
        ),
    ] = None
    features: Annotated[
        Sequence[str] | None,
        Help(
            "Feature of a picture to compute; may be given several times. Default: photo_quality, every feature of "
            "the project and of FEATURES_MODULES, and every feature with values in the store.",
            option="feature",
            heading="Features of a picture",
        ),
    ] = None
    retry_features: Annotated[
        bool,
        Help("Compute features of a picture again where they failed.", heading="Features of a picture"),
    ] = False
    only: Annotated[
        Step | None,
        Help(
            "Only step to run: labels, faces, embeddings, features or index. After faces, embeddings and features the "
            "labels that follow from faces are computed too. Default: all steps.",
            metavar="STEP",
        ),
    ] = None
    as_of: Annotated[
        dt.datetime | None,
        Help(
            "Use only what had happened before this moment, as ISO 8601 in UTC. The labels are computed and counted; "
            "only --publish replaces those that everyone reads. Default: everything."
        ),
    ] = None
    known_at: Annotated[
        dt.datetime | None,
        Help("Use only what had arrived before this moment, as ISO 8601 in UTC, like --as-of. Default: everything."),
    ] = None
    publish: Annotated[
        bool,
        Help("Publish the labels of --as-of and --known-at: everyone reads them until the next build."),
    ] = False
    faces: Annotated[FaceSettings | None, Help("Faces", prefix="face_")] = None
    flip: Annotated[bool, Help("Compute the embeddings of mirrored photos too.", heading="Embeddings")] = False
    dtype: Annotated[
        Literal["float32", "float16"] | None,
        Help(
            "Storage type of the embeddings: float32 or float16. Default: the type that they have, or float32.",
            heading="Embeddings",
        ),
    ] = None
    decoded: Annotated[
        Sequence[str],
        Help(
            "Folder or address of pictures that features export pictures decoded; they are read instead of decoding "
            "photos. May be given several times. Default: every photo is decoded.",
            metavar="ADDRESS",
            heading="Embeddings",
        ),
    ] = ()
    recall: Annotated[float, Help("Smallest recall@10 of each search index, from 0 to 1.", heading="Search")] = 0.99
    index_memory: Annotated[
        int | None,
        Help(
            "Largest size of each search index in memory, e.g. 4GB. Default: no limit.", is_size=True, heading="Search"
        ),
    ] = None
    neighbours: Annotated[
        int | None,
        Help(
            "Number of nearest photos of each photo to keep in the relation neighbours. Default: the number of the "
            "last build, or none.",
            metavar="K",
            least=1,
            heading="Search",
        ),
    ] = None
    near_duplicates: Annotated[
        bool,
        Help(
            "Find photos that show the same picture, and keep the pairs in the relation near_duplicates.",
            heading="Search",
        ),
    ] = False
    replace_project: Annotated[
        bool,
        Help(
            "Replace the definitions of another project in the store by those of this one. The relations of the other "
            "project are dropped."
        ),
    ] = False
    force: Annotated[bool, Help("Compute all labels again, also those that are up to date.")] = False
    engine: Annotated[
        Engine | None,
        Help(
            "Engine that computes labels: duckdb or spark. If spark is given, it computes faces, embeddings and parts "
            "of search indices too. Default: the engine of the last build, or duckdb.",
            heading="Engine",
        ),
    ] = None
    master: Annotated[
        str | None,
        Help(
            "Spark master URL, e.g. local, spark://HOST:7077 or sc://HOST:15002. Default: the URL of the last build, "
            "or all cores of this machine.",
            metavar="URL",
            heading="Engine",
        ),
    ] = None
    facts: Annotated[
        str | None,
        Help(
            "Folder or URI of the Parquet files that features export wrote and Spark reads. Default: the folder or URI "
            "of the last build.",
            metavar="URI",
            heading="Engine",
        ),
    ] = None
    labels: Annotated[LabelOptions | Mapping[str, Any] | None, Help("Labels")] = None
    """None keeps the label options of the last build. A mapping such as {"min_swipes": 3} replaces those that it names,
    and `LabelOptions(min_swipes=3)` replaces all."""

    def __post_init__(self) -> None:
        if isinstance(self.encoders, str):
            object.__setattr__(self, "encoders", (self.encoders,))
        if isinstance(self.features, str):
            object.__setattr__(self, "features", (self.features,))
        if isinstance(self.decoded, str):
            object.__setattr__(self, "decoded", (self.decoded,))
        check_choices(self)
        check(recall=self.recall, index_memory=self.index_memory, neighbours=self.neighbours)
        self._check_step()
        if self.engine != "spark" and (self.master is not None or self.facts is not None):
            raise InputError(
                "Only Spark has a master and facts of its own.", "--engine spark together with them", "--engine spark"
            )
        if isinstance(self.labels, Mapping):
            self.check_confidences(changed_options(LabelOptions(), self.labels))
        elif self.labels is not None:
            self.check_confidences(self.labels)

    @property
    def asks_labels(self) -> bool:
        """Whether the step `labels` runs."""
        return self.only in (None, "labels")

    @property
    def is_rehearsal(self) -> bool:
        """Whether the labels of a moment are computed without being published."""
        return (self.as_of is not None or self.known_at is not None) and not self.publish

    @property
    def changes_labels(self) -> bool:
        """Whether any step computes labels."""
        return self.only != "index"

    def check_confidences(self, labels: LabelOptions) -> None:
        """Refuse labels that need faces of a lower confidence than the stored ones.

        Raises:
            InputError: a confidence that was chosen, or that the filter uses, is below the stored confidence.
        """
        _check_confidences(labels, (self.faces or FaceSettings()).confidence)

    def _check_step(self) -> None:
        """Refuse options of steps that do not run."""
        if self.is_rehearsal and self.only not in (None, "labels"):
            raise ConflictError(
                f"--only {self.only} publishes, so --as-of and --known-at need --publish with it.",
                "--publish too, or no --as-of and --known-at",
                f"features build --only {self.only}",
            )
        for needed, names in NEEDED.items():
            if self.only is not None and not runs(self.only, needed) and any(getattr(self, name) for name in names):
                lists = ("encoders", "features")
                options = [f"--{name.removesuffix('s' * (name in lists)).replace('_', '-')}" for name in names]
                raise _conflict(self.only, needed, f"{', '.join(options[:-1])} and {options[-1]}")
        if self.only == "index" and self.force:
            raise _conflict(self.only, "labels", "--force")


class BuildArguments(TypedDict, total=False):
    """The fields of `BuildOptions` as keyword arguments."""

    encoders: Sequence[str] | None
    features: Sequence[str] | None
    retry_features: bool
    only: Step | None
    as_of: dt.datetime | None
    known_at: dt.datetime | None
    publish: bool
    faces: FaceSettings | None
    flip: bool
    dtype: Literal["float32", "float16"] | None
    decoded: Sequence[str]
    recall: float
    index_memory: int | None
    neighbours: int | None
    near_duplicates: bool
    replace_project: bool
    force: bool
    engine: Engine | None
    master: str | None
    facts: str | None
    labels: LabelOptions | Mapping[str, Any] | None


def _conflict(only: Step, needed: Step, options: str) -> ConflictError:
    return ConflictError(
        f"--only {only} makes no {needed}, so {options} cannot be given with it.",
        f"--only {needed}, or no --only",
        "features build",
    )


def _check_confidences(labels: LabelOptions, least: float) -> None:
    for kind in ("lenient", "strict"):
        name = f"{kind}_confidence"
        asked = getattr(labels, name)
        chosen = labels.face_filter == kind or asked != getattr(LabelOptions(), name)
        if chosen and asked < least:
            option = f"--{kind}-confidence"
            raise InputError(
                f"{option} {asked:g} is below {least:g}, the smallest confidence of stored faces.",
                f"{least:g} to 1 with --face-confidence {least:g}",
                f"{option} {least:g}" + (f", or --face-confidence {asked:g} as well" if 0 < asked < 1 else ""),
            )

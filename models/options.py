"""Options of training and of fine-tuning, declared once for the command line and `FeatureStore`.

    train(store, TrainOptions(target=["gender"], encoders=["dlib_face"], heads=["ridge"]))
    store.train(target="gender", encoders=["dlib_face"], heads=["ridge"])

`TrainArguments` and `FinetuneArguments` repeat names and types, so that editors and type checkers know the keyword
arguments; a test compares them with the classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, TypeAlias, TypedDict

from photogenic.models.data.split_config import DEFAULT_SPLIT, SplitConfig
from photogenic.models.heads.registry import help_line, in_group
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.user_modules import REGISTERING

__all__ = ["FinetuneArguments", "FinetuneOptions", "TrainArguments", "TrainOptions"]


Device: TypeAlias = Annotated[
    str | None,
    Help(
        "Device for the networks: cpu, cuda or cuda:1. Default: the variable FEATURES_DEVICE, else the first GPU, else "
        "the CPU.",
        metavar="DEVICE",
    ),
]


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of a training. One name may replace a sequence of names.

    Raises:
        InputError: a number is out of range.
    """

    target: Annotated[
        Sequence[str],
        Help(
            "Target to predict: like_ratio, popular, gender, or relation.column for a column of a relation, where a "
            "boolean is a yes/no answer and a number any number; may be given several times.",
            metavar="NAME",
        ),
    ] = ("like_ratio",)
    weight: Annotated[
        str | None,
        Help(
            "Column with the weight of each photo or user, for a target that is a column too; photos without a weight "
            "above 0 are left out. Default: all photos weigh the same.",
            metavar="RELATION.COLUMN",
        ),
    ] = None
    features: Annotated[
        Sequence[str] | None,
        Help(
            "Columns of relations that the heads read beside the embeddings, separated by commas; relation.* is every "
            "number and boolean of a relation. Default: none.",
            metavar="RELATION.COLUMN,...",
        ),
    ] = None
    allow_correlated: Annotated[
        bool,
        Help(
            "Train although one of the --features is correlated with the label by more than 0.999, because it was "
            "known before the label."
        ),
    ] = False
    encoders: Annotated[
        Sequence[str] | None,
        Help(
            "Encoder whose embeddings the heads learn from; may be given several times. A+B joins the embeddings of "
            "two encoders; none, with --features, reads no embeddings. Default: efficientnet_lite0 and dlib_face, if "
            "the store has their embeddings.",
            metavar="NAME",
            option="encoder",
        ),
    ] = None
    heads: Annotated[
        Sequence[str],
        Help(
            f"Kind of head to train; may be given several times. {help_line()}; or a head that "
            f"{REGISTERING} registers.",
            metavar="NAME",
            option="head",
        ),
    ] = tuple(in_group("layers"))
    setup: Annotated[
        Sequence[str],
        Help("Photos to learn from: all, or one_face for those with exactly one face; may be given several times."),
    ] = ("one_face",)
    division: Annotated[SplitConfig, Help("Division")] = DEFAULT_SPLIT
    flip: Annotated[
        bool, Help("Learn from the mirrored training photos too; features build --flip computes their embeddings.")
    ] = False
    slices: Annotated[
        Path | None,
        Help(
            "CSV or Parquet file with photo_id or user_id and columns of values. The heads are also evaluated on the "
            "photos of each value. Default: by gender only.",
            metavar="FILE",
        ),
    ] = None
    seed: Annotated[int, Help("Seed of the initial heads, the order of photos and the bootstrap.")] = 0
    device: Device = None
    master: Annotated[
        str | None,
        Help(
            "Spark master URL for mllib_svm, e.g. local or spark://HOST:7077. Default: all cores of this machine.",
            metavar="URL",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(seed=self.seed)
        for name in ("target", "features", "encoders", "heads", "setup"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if self.features is not None:
            several = [part.strip() for name in self.features for part in name.split(",")]
            object.__setattr__(self, "features", tuple(part for part in several if part))


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """Options of a fine-tuning: the network, the photos and the training.

    Raises:
        InputError: a number is out of range.
    """

    backbone: Annotated[str, Help("Network to fine-tune: alexnet, efficientnet_lite0 or inception_v3.")] = (
        "efficientnet_lite0"
    )
    target: Annotated[str, Help("Label to predict: like_ratio, popular or gender.")] = "like_ratio"
    setup: Annotated[str, Help("Photos to learn from: all, or one_face for those with exactly one face.")] = "one_face"
    recipe: Annotated[
        str,
        Help(
            "Training schedule: modern (AdamW, cosine, augmentation, layers unfrozen from the top down) or published "
            "(SGD, learning rate 0.001 divided by 10 at every 5,000 of 35,000 iterations, split 3:1).",
            metavar="modern|published",
        ),
    ] = "modern"
    division: Annotated[SplitConfig, Help("Division")] = DEFAULT_SPLIT
    iterations: Annotated[
        int | None,
        Help(
            "Number of updates. Default: as many as 20 epochs have, 300 to 20,000; with published, 35,000.",
            metavar="N",
        ),
    ] = None
    batch_size: Annotated[int | None, Help("Pictures per update. Default: 64; with published, 50.", metavar="N")] = None
    learning_rate: Annotated[
        float | None,
        Help("Learning rate of the top layers of the network. Default: 0.0003; with published, 0.001.", metavar="X"),
    ] = None
    random_weights: Annotated[bool, Help("Start with random weights instead of the published ones.")] = False
    seed: Annotated[int, Help("Seed of every random draw.")] = 0
    decoded: Annotated[
        Sequence[str],
        Help(
            "Folder or address of pictures that features export pictures decoded; they are read instead of decoding "
            "photos. May be given several times. Default: every photo is decoded.",
            metavar="ADDRESS",
        ),
    ] = ()
    device: Device = None

    def __post_init__(self) -> None:
        if isinstance(self.decoded, str):
            object.__setattr__(self, "decoded", (self.decoded,))
        names = ("seed", "iterations", "batch_size", "learning_rate")
        check(**{field.name: getattr(self, field.name) for field in fields(self) if field.name in names})


class TrainArguments(TypedDict, total=False):
    """The fields of `TrainOptions` as keyword arguments."""

    target: Sequence[str]
    weight: str | None
    features: Sequence[str] | None
    allow_correlated: bool
    encoders: Sequence[str] | None
    heads: Sequence[str]
    setup: Sequence[str]
    division: SplitConfig
    flip: bool
    slices: Path | None
    seed: int
    device: str | None
    master: str | None


class FinetuneArguments(TypedDict, total=False):
    """The fields of `FinetuneOptions` as keyword arguments."""

    backbone: str
    target: str
    setup: str
    recipe: str
    division: SplitConfig
    iterations: int | None
    batch_size: int | None
    learning_rate: float | None
    random_weights: bool
    seed: int
    decoded: Sequence[str]
    device: str | None

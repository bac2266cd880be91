"""Options of an export of pictures, declared once for the command line and `FeatureStore`."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["PictureArguments", "PictureFormat", "PictureOptions", "PictureSelection"]

PictureFormat = Literal["files", "hdf5", "webdataset", "parquet"]


@dataclass(frozen=True, slots=True)
class PictureSelection:
    """Which pictures are exported, and to what they are decoded.

    Raises:
        ConflictError: options contradict each other.
        InputError: a value is not among its words, or out of range.
    """

    size: Annotated[
        int | None,
        Help("Decode the pictures to squares of N pixels. Default: the bytes as received.", metavar="N"),
    ] = None
    crop: Annotated[
        Literal["center", "squashed"] | None,
        Help("Part of the photo in a decoded picture: center, its middle square, or squashed, all of it."),
    ] = None
    share: Annotated[
        float | None,
        Help("Side of the middle square as a share of the photo's short side. Default: 1.", metavar="X"),
    ] = None
    encoder: Annotated[
        str | None,
        Help("Decode the pictures as this encoder takes them: its size and crop.", metavar="NAME"),
    ] = None
    margin: Annotated[
        bool,
        Help("With --encoder: decode larger pictures, of which features finetune takes random crops."),
    ] = False
    where: Annotated[
        str | None,
        Help("Condition in SQL over labels, as for features similar. Default: all photos.", metavar="SQL"),
    ] = None
    training_set: Annotated[
        str | None,
        Help("Only the photos of a named training set: NAME, or NAME:VERSION. Default: all photos.", metavar="NAME"),
    ] = None
    index: Annotated[Literal["parquet", "csv"], Help("Form of the index: parquet or csv.")] = "parquet"

    def __post_init__(self) -> None:
        check_choices(self)
        check(size=self.size, share=self.share)
        if self.encoder is not None and any(value is not None for value in (self.size, self.crop, self.share)):
            raise ConflictError(
                "The size is said twice: by --encoder and by --size, --crop or --share.",
                "one of them",
                "--encoder NAME",
            )
        if self.margin and self.encoder is None:
            raise ConflictError(
                "--margin needs --encoder.", "the network that is fine-tuned", "--encoder efficientnet_lite0 --margin"
            )
        if self.size is None and (self.crop is not None or self.share is not None):
            raise ConflictError("--crop and --share need --size.", "a size in pixels", "--size 224")
        if self.crop == "squashed" and self.share is not None:
            raise ConflictError("--share is about the middle square.", "--crop center with --share", "--crop center")

    @property
    def is_decoded(self) -> bool:
        """Whether the pictures are decoded to one size."""
        return self.size is not None or self.encoder is not None


@dataclass(frozen=True, slots=True)
class PictureOptions(PictureSelection):
    """Which pictures are exported, and how.

    Raises:
        ConflictError: options contradict each other.
        InputError: a value is not among its words, or out of range.
    """

    format: Annotated[
        PictureFormat | None,
        Help(
            "Form of the pictures: files, hdf5, webdataset or parquet. Default: files as received; with a size, hdf5.",
            option="as",
        ),
    ] = None

    def __post_init__(self) -> None:
        PictureSelection.__post_init__(self)
        if self.is_decoded and self.format == "files":
            raise ConflictError(
                "Files are pictures as received.",
                "--as hdf5, webdataset or parquet for decoded pictures",
                "--as webdataset --size 224",
            )
        if not self.is_decoded and self.format == "hdf5":
            raise ConflictError(
                "HDF5 holds decoded pictures.", "--as hdf5 with --size or --encoder", "--as hdf5 --size 224"
            )

    @property
    def chosen_format(self) -> PictureFormat:
        """The form, or that of the default."""
        return self.format or ("hdf5" if self.is_decoded else "files")


class PictureArguments(TypedDict, total=False):
    """The fields of `PictureOptions` as keyword arguments."""

    format: PictureFormat | None
    size: int | None
    crop: Literal["center", "squashed"] | None
    share: float | None
    encoder: str | None
    margin: bool
    where: str | None
    training_set: str | None
    index: Literal["parquet", "csv"]

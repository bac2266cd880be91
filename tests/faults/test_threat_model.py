"""SECURITY.md names a test for every threat, and these tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
THREATS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ") and "`tests/" in line]


def names_in(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_has_its_test():
    rows = [line for line in TEXT.splitlines() if re.match(r"\| (?!source|---)", line)]
    assert len(rows) == len(THREATS) > 25
    for who, what, against, tests in THREATS:
        assert all((who, what, against))
        assert re.findall(r"`tests/[\w/]+\.py::\w+`", tests)


def test_every_named_test_exists():
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT):
        assert name in names_in(path), f"{path}::{name}"


def test_every_named_file_exists():
    for path in re.findall(r"`((?:tests|app|features|ingest|models|warehouse)/[\w/]+\.py)", TEXT):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-runtime.lock", "requirements-cpu.lock"])
def test_dependencies_are_pinned_with_hashes(name):
    lock = (ROOT / name).read_text()
    packages = re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE).strip())
    assert len(packages) > 50
    for package in packages:
        first, *hashes = package.strip().split("\n")
        assert re.match(r"[\w.\-\[\]]+==\S+( ;.*)? \\$", first), first
        assert hashes
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), first
    assert "--require-hashes" in (ROOT / "deploy" / "install.py").read_text()

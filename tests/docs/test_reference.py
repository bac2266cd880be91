"""The reference says what the code says, and other pages name what exists."""

import re
import tomllib
from pathlib import Path

import pytest

from docs._tools.python_api import GROUPS
from docs._tools.reference import PAGES, written
from docs._tools.settings import OTHERS, VARIABLES
from photogenic import FeatureStore
from photogenic.app.serve.api.openapi import describe
from photogenic.app.serve.http.limits import Limits
from photogenic.ingest.tabular.schemas import TABLES
from tests.app.program import COMMANDS
from tests.docs.runner.pages import ROOT, pages

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_gives(name):
    text = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert text == written(name), "run: make reference"


def test_every_command_has_its_section():
    text = (DOCS / "reference" / "command-line.md").read_text()
    assert sorted(re.findall(r"^### features (.+)$", text, re.MULTILINE)) == sorted(COMMANDS)
    for name, command in COMMANDS.items():
        section = text.partition(f"\n### features {name}\n")[2].partition("\n### ")[0]
        options = {max(p.opts, key=len) for p in command.params if p.param_type_name == "option" and not p.hidden}
        assert set(re.findall(r"^\| `(--?[a-z-]+)`", section, re.MULTILINE)) == options - {"--help"}, name


def test_every_variable_of_the_environment_is_in_the_table_and_no_other():
    rooms = ("app", "features", "ingest", "maintenance", "models", "warehouse")
    sources = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"(?<![A-Z_])FEATURES_[A-Z_]+[A-Z]", path.read_text())}
    used.remove("FEATURES_SOURCE")  # the beginning of names that the user chooses
    assert {variable.name for variable in VARIABLES} == used
    for name, _ in OTHERS:
        assert any(f'"{name}"' in path.read_text() for path in sources) or name == "SPARK_CONF_DIR", name


def test_variables_stand_beside_the_options_that_read_them():
    read = {(one.envvar, one.opts[-1]) for command in COMMANDS.values() for one in command.params if one.envvar}
    said = {variable.name: variable.option for variable in VARIABLES}
    for variable, option in read:
        assert f"{option}`" in said[variable] or option in said[variable], variable


def test_every_public_method_has_its_line():
    public = {name for name in dir(FeatureStore) if not name.startswith("_") and callable(getattr(FeatureStore, name))}
    assert {name for names in GROUPS.values() for name in names} == public


def test_every_address_has_its_section():
    text = (DOCS / "reference" / "http.md").read_text()
    for path, methods in describe(Limits(), token=False)["paths"].items():
        for method in methods:
            assert f"\n## {method.upper()} /api/v1{path}\n" in text


def test_the_guide_to_files_names_their_columns():
    text = (DOCS / "guides" / "ingest.md").read_text()
    for kind, table in TABLES.items():
        for column in table.names:
            assert f"`{column}`" in text, (kind, column)


def test_each_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    text = (DOCS / "explanation" / "dependencies.md").read_text()
    named = {name for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for name in re.findall(r"[\w-]+", row)}
    assert needed <= named


def test_benchmarks_that_pages_name_exist():
    for page in pages():
        for module, said in re.findall(r"python -m tests\.bench\.([\w.]+)([^`\n]*)", page.text):
            source = (ROOT / "tests" / "bench" / f"{module.replace('.', '/')}.py").read_text("utf-8")
            assert all(f'"{option}"' in source for option in re.findall(r"--[a-z-]+", said)), (page.name, module)
        for path in re.findall(r"pytest (?:-m gpu )?(tests/[\w/]+\.py)", page.text):
            assert Path(ROOT / path).exists(), (page.name, path)

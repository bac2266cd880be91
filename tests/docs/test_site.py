"""The site is built strictly, from files of the repository only."""

import os
import re
import subprocess
import sys

import pytest

from tests.docs.runner.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; the build fails at a broken link, an unknown anchor or a page without a place.

    With `--quiet`, MkDocs counts no warnings, and a strict build passes.
    """
    folder = tmp_path_factory.mktemp("site") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_nothing_is_loaded_from_another_server(site):
    loaded = re.compile(r'(?:src|href)="(https?:)?//[^"]+"')
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text("utf-8")):
            assert not loaded.search(tag) or 'rel="canonical"' in tag, (page.name, tag)


@pytest.mark.slow
def test_the_python_reference_is_filled(site):
    text = (site / "reference" / "python" / "index.html").read_text("utf-8")
    for name in ("build", "sql", "similar", "train", "erase"):
        assert f'id="photogenic.store.FeatureStore.{name}"' in text


@pytest.mark.slow
def test_every_page_can_be_searched(site):
    text = (site / "search" / "search_index.json").read_text("utf-8")
    assert "near_duplicates" in text


def test_the_icon_is_that_of_the_program():
    ours = (ROOT / "docs" / "assets" / "icon.svg").read_bytes()
    assert ours == (ROOT / "app" / "serve" / "pages" / "static" / "icon.svg").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (
            "[a](nowhere.md) [b](#nowhere) [c](../nowhere.py)",
            ("a link 'nowhere.md'", "there is no such anchor", "nowhere.py, which is not in the repository"),
        ),
        ("::: photogenic.store.Nowhere", ("could not be found",)),
    ],
)
def test_a_broken_page_fails_the_build(text, warnings, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{text}\n")
    settings = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    settings = settings.replace("docs/_tools", str(ROOT / "docs" / "_tools")).replace("paths: [.]", f"paths: [{ROOT}]")
    (tmp_path / "mkdocs.yml").write_text(settings)
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode != 0
    assert [warning for warning in warnings if warning not in built.stderr] == []

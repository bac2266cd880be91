"""`features compare` and `features vectors remove` as typed: every table as text, CSV and JSON; the HTML file."""

import csv
import io
import json
import re

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from tests.features.toy import SETTINGS, put_photos, put_vectors
from tests.models.planted import QUICK, train

PARTS = ("photos", "overlap", "moved", "heads", "cost")
N = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A store with vectors of two encoders, a head on each, and ids that contain markup."""
    root, rng = tmp_path_factory.mktemp("cli") / "store", np.random.default_rng(0)
    ids = [f"<b>p{at:02d}" for at in range(N)]
    n_swipes = rng.integers(5, 50, N)
    rows = {"photo_id": ids, "gender": ["female", "male"] * (N // 2), "n_swipes": n_swipes, "n_likes": n_swipes // 2}
    with FeatureStore(root, settings=SETTINGS) as store:
        put_photos(store.database, pl.DataFrame(rows))
        put_vectors(store.layout, "cli_a", ids, rng.normal(size=(N, 4)).astype("f4"))
        put_vectors(store.layout, "cli_b", ids, rng.normal(size=(N, 3)).astype("f4"))
        train(store, "like_ratio", ["cli_a", "cli_b"], ["ridge"], "all", grid=QUICK)
    return root


@pytest.fixture
def typed(root):
    def run(*words, code=0):
        done = CliRunner().invoke(program, [*words, "--store", str(root)], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    return run


def test_every_part_is_printed_as_a_table(typed):
    done = typed("compare", "cli_a", "cli_b")
    for title in ("Photos of the store", "Neighbors by cli_a and cli_b", "10 nearest differ most", "Heads on", "Cost"):
        assert title in done.stdout
    assert "vectors of both cli_a and cli_b" in done.stdout
    assert "overlap@10" in done.stdout


def test_json_is_one_object_with_all_parts(typed):
    (found,) = json.loads(typed("compare", "cli_a", "cli_b", "--format", "json", "-k", "3", "--moved", "2").stdout)
    assert found["k"] == 3
    assert [len(found[part]) for part in PARTS[2:]] == [2, 1, 2]
    assert len(found["moved"][0]["neighbours_a"]) == 3
    assert found["photos"][-1]["n_photos"] == N


@pytest.mark.parametrize("part", PARTS)
def test_csv_and_json_of_a_part_have_the_same_rows(typed, part):
    asked = ("compare", "cli_a", "cli_b", "--only", part, "--sample", "30")
    rows = json.loads(typed(*asked, "--format", "json").stdout)
    found = list(csv.DictReader(io.StringIO(typed(*asked, "--format", "csv").stdout)))
    assert len(found) == len(rows) > 0
    assert list(found[0]) == list(rows[0])
    for line, row in zip(found, rows, strict=True):
        for name, value in row.items():
            assert line[name] == ("" if value is None else json.dumps(value) if isinstance(value, list) else str(value))


def test_a_part_without_rows_has_its_columns(typed):
    assert typed("compare", "cli_a", "cli_b", "--only", "moved", "--moved", "0", "--format", "csv").stdout == (
        "photo_id,user_id,gender,in_common,rbo,neighbours_a,neighbours_b\n"
    )


def test_csv_of_everything_is_refused_before_any_work(typed):
    assert "--only" in typed("compare", "cli_a", "nothing", "--format", "csv", code=2).stderr


def test_a_misspelled_encoder_gets_the_whole_command(root):
    error = CliRunner().invoke(program, ["compare", "cli_a", "cli_bb", "--store", str(root)]).exception
    assert error.remedy == "features compare cli_a cli_b"


def test_the_html_file_is_one_file_and_escapes_ids(typed, tmp_path):
    page = tmp_path / "both.html"
    typed("compare", "cli_a", "cli_b", "--output", str(page))
    text = page.read_text()
    assert "&lt;b&gt;p" in text
    assert "<b>p0" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text)
    assert '<svg viewBox="' in text
    assert sorted(path.name for path in (tmp_path / "both-figures").iterdir()) == ["moved.png", "overlap.png"]


def test_a_plan_of_a_removal_removes_nothing_and_a_removal_asks(typed, root):
    (plan,) = json.loads(typed("vectors", "remove", "cli_b", "--plan", "--format", "json").stdout)
    assert (plan["encoder"], plan["n_photos"], len(plan["runs"])) == ("cli_b", 0, 1)  # no build has published them
    assert (root / "embeddings" / "cli_b").is_dir()
    done = CliRunner().invoke(program, ["vectors", "remove", "cli_b", "--store", str(root)])
    assert "nothing was removed" in str(done.exception)
    assert (root / "embeddings" / "cli_b").is_dir()

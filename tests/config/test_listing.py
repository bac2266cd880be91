"""`features config` and `FeatureStore.config` list the same settings, each with where it comes from, and no secret."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from docs._tools.settings import VARIABLES as DOCUMENTED
from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.config.listing import ORIGINS, VARIABLES
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_help import option_fields

FILE = """store = "store"

[settings]
threads = 1
[build]
encoders = ["dlib_face"]
index_memory = "1.5GB"
[labels]
window = "every"
[checks]
max_refused = "1%"
[mappings.swipes.columns]
sender_id = "from"
[[sources]]
kind = "swipes"
files = ["log/*.csv"]
"""


@pytest.fixture
def listed(folder, monkeypatch):
    FeatureStore("store").build(only="labels", labels={"min_swipes": 3})
    (folder / "photogenic.toml").write_text(FILE)
    monkeypatch.setenv("FEATURES_SERVE_TOKEN", "hunter2-hunter2")
    monkeypatch.setenv("FEATURES_DEVICE", "cpu")
    return {row["setting"]: row for row in FeatureStore().config().to_dicts()}


def test_each_setting_says_where_it_comes_from(folder, listed):
    path = str(folder / "photogenic.toml")
    build_id = FeatureStore().sql("select build_id from builds").item()
    expected = {
        "config": (path, "default", None),
        "store": ("store", "file", f"{path}:1"),
        "settings.threads": ("1", "file", f"{path}:4"),
        "settings.lock_timeout": ("60", "default", None),
        "build.encoders": ("dlib_face", "file", f"{path}:6"),
        "build.index_memory": ("1500000000", "file", f"{path}:7"),
        "build.recall": ("0.99", "default", None),
        "labels.window": ("every", "file", f"{path}:9"),
        "labels.min_swipes": ("3", "last build", build_id),
        "checks.max_refused": ("1%", "file", f"{path}:11"),
        "mappings.swipes": ("sender_id=from", "file", f"{path}:12"),
        "sources.swipes": ("swipes: log/*.csv", "file", f"{path}:14"),
        "device": ("cpu", "environment", "FEATURES_DEVICE"),
        "serve_token": ("set, not shown", "environment", "FEATURES_SERVE_TOKEN"),
    }
    found = {name: (row["value"], row["origin"], row["place"]) for name, row in listed.items() if name in expected}
    assert found == expected
    assert {row["origin"] for row in listed.values()} <= set(ORIGINS)
    assert {f"labels.{field.name}" for field in option_fields(LabelOptions)} < set(listed)


def test_the_command_prints_the_same(folder, listed):
    done = CliRunner().invoke(program, ["config", "--format", "json"])
    rows = json.loads(done.stdout)
    assert {row["setting"]: row for row in rows} == listed
    assert set(rows[0]) == {"setting", "value", "origin", "place"}
    assert all(isinstance(row["value"], str | None) for row in rows)
    named = CliRunner().invoke(program, ["config", "--config", "photogenic.toml", "--format", "json"])
    assert json.loads(named.stdout)[0]["origin"] == "command line"
    CliRunner().invoke(program, ["config"])  # the file of the former command line does not stay
    assert FeatureStore().config().row(by_predicate=pl.col("setting") == "config")[2] == "default"


def test_no_secret_is_shown(folder, listed):
    for form in ("table", "csv", "json"):
        done = CliRunner().invoke(program, ["config", "--format", form])
        assert "hunter2" not in done.stdout + done.stderr


def test_every_variable_is_listed():
    others = {"FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT", "FEATURES_ENCODERS", "FEATURES_NETWORK_TIMEOUT"}
    limits = {f"FEATURES_{name}" for name in ("MEMORY_LIMIT", "THREADS", "LOCK_TIMEOUT", "RELATION_TIMEOUT", "ENCODER")}
    assert set(VARIABLES.values()) | others | limits == {variable.name for variable in DOCUMENTED}


def test_without_a_store_the_defaults_are_listed(folder):
    origins = FeatureStore("none").config()["origin"]
    assert set(origins[1:]) <= {"default", "command line", "environment"}

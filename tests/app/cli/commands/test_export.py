"""features export: what is printed, and which words belong together."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from photogenic.app.cli.main import program
from tests.warehouse.export.exporting import files, opened, with_duckdb


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with_store = opened(tmp_path_factory.mktemp("exported"), n=4)
    with_store.close()
    return with_store.layout.root


@pytest.fixture
def run(store):
    def invoke(*arguments):
        return CliRunner().invoke(program, ["export", *map(str, arguments)], env={"FEATURES_STORE": str(store)})

    return invoke


def test_the_receipt_says_what_was_written_and_what_was_not(run, tmp_path):
    done = run("users", "photos", "--to", tmp_path, "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(one["name"], one["state"], one["n_rows"], one["n_written"]) for one in found] == [
        ("users", "written", 4, 4),
        ("photos", "written", 8, 8),
    ]
    assert found[0]["bytes"] == sum(file.stat().st_size for file in files(tmp_path, "users"))
    again = json.loads(run("users", "--to", tmp_path, "--verify", "--format", "json").stdout)
    assert [(one["state"], one["n_written"]) for one in again] == [("unchanged", 0)]


def test_a_query_with_parameters_in_partitions(run, tmp_path):
    query = "select user_id, gender from users where followers < $most"
    options = ("--query", query, "--param", "most=3", "--table", "few", "--partition", "gender", "--as", "csv")
    done = run("--to", tmp_path, *options)
    assert done.exit_code == 0, done.output
    found = with_duckdb(f"select gender, count(*) from '{tmp_path}/few/*/*.csv' group by all order by all")
    assert found == [("female", 1), ("male", 2)]


def test_the_address_alone_is_that_of_the_facts(run, tmp_path):
    done = run(tmp_path / "facts", "--format", "csv")
    assert done.stdout.splitlines()[:2] == ["table,n_rows,n_files,bytes", done.stdout.splitlines()[1]]
    assert done.stdout.splitlines()[1].startswith("users,4,1,")
    assert f"--facts {tmp_path / 'facts'}" in done.stderr
    assert run("facts", "--to", tmp_path / "facts").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["users"], 1, "users is given without an address"),
        (["users", "photos"], 2, "no address"),
        ([], 2, "no address"),
        (["out", "--as", "csv"], 2, "need --to"),
        (["users", "--to", "out", "--as", "excel"], 2, "excel"),
        (["users", "--to", "out", "--max-rows-per-file", "0"], 2, "max-rows-per-file"),
        (["facts", "--to", "out", "--as", "csv"], 2, "layout that Spark reads"),
        (["--to", "postgresql://user:the-password@host/db", "--as", "csv", "users"], 2, "does not fit"),
    ],
)
def test_refused(run, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    said = " ".join((done.stderr + str(done.exception or "")).replace("│", " ").split())
    assert words in said
    assert (2 if done.exit_code == 2 or getattr(done.exception, "exit_code", 1) == 2 else 1) == code
    assert "the-password" not in said
    assert list(tmp_path.iterdir()) == []

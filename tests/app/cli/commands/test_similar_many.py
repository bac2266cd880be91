"""`features similar --from-file`: what is read, what is written, and what is refused before any work."""

import io
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from photogenic.app.cli.main import program
from photogenic.app.terminal.export_rows import Batches, export
from photogenic.warehouse import InputError
from tests.features.search.test_searcher import world


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    db, _ = world(tmp_path_factory.mktemp("cli"))
    return db.layout.root


def run(root, *arguments, given=None):
    command = ["similar", *map(str, arguments), "--encoder", "toy", "--store", str(root)]
    return CliRunner().invoke(program, command, input=given)


@pytest.fixture
def ids(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("photo_id\np0001\nnobody\np0002\n")
    return path


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "arrow"])
def test_every_form_of_output_has_the_same_rows(root, ids, tmp_path, form):
    printed = run(root, "--from-file", ids, "-k", 2, "--format", "json")
    assert printed.exit_code == 0, printed.output
    rows = json.loads(printed.stdout)
    assert [row["query"] for row in rows] == ["p0001", "p0001", "nobody", "p0002", "p0002"]
    path = tmp_path / f"found.{form}"
    done = run(root, "--from-file", ids, "-k", 2, "--output", path)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    read = {
        "csv": pl.read_csv,
        "json": lambda file: pl.DataFrame(json.loads(file.read_text())),
        "parquet": pl.read_parquet,
        "arrow": pl.read_ipc,
    }[form]
    assert read(path).select("query_no", "rank", "photo_id", "problem").rows() == [
        (row["query_no"], row["rank"], row["photo_id"], row["problem"]) for row in rows
    ]


def test_queries_come_from_stdin_as_text_and_as_numpy(root):
    text = run(root, "--from-file", "-", "-k", 1, "--format", "json", given="p0001\np0002\n")
    assert [row["query"] for row in json.loads(text.stdout)] == ["p0001", "p0002"]
    vectors = io.BytesIO()
    np.save(vectors, np.zeros((3, 12), np.float32))
    found = run(root, "--from-file", "-", "-k", 1, "--format", "json", given=vectors.getvalue())
    assert found.exit_code == 0, found.output
    assert [row["query"] for row in json.loads(found.stdout)] == ["1", "2", "3"]


def test_counts_of_problems_are_said(root, ids):
    done = run(root, "--from-file", ids, "-k", 2, "--format", "csv")
    assert "3 queries: 2 answered with 4 photos, 1 without an answer: 1 unknown_photo." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give PHOTO_IDs, FILEs or --text, or else --from-file"),
        (("p0001", "--from-file", "x.csv"), "give PHOTO_IDs, FILEs or --text, or else --from-file"),
        (("p0001", "--output", "x.csv"), "--output and --strict"),
        (("--from-file", "x.csv", "--output", "y.csv", "--format", "json"), "--output writes"),
        (("--from-file", "none.csv"), "none.csv"),
    ],
)
def test_commands_that_cannot_be_meant_are_refused(root, arguments, said):
    done = run(root, *arguments)
    assert done.exit_code != 0
    assert said in done.output or said in str(done.exception)


def test_strict_ends_with_an_error_and_without_a_file(root, ids, tmp_path):
    path = tmp_path / "found.csv"
    done = run(root, "--from-file", ids, "--strict", "--output", path)
    assert done.exit_code != 0
    assert isinstance(done.exception, InputError) or "unknown_photo" in done.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ids.csv"]


def test_an_interrupted_export_leaves_no_file(tmp_path):
    schema = pa.schema([("a", pa.int64())])

    def broken():
        yield pa.record_batch({"a": [1]}, schema)
        raise KeyboardInterrupt

    for form in ("csv", "json", "parquet", "arrow"):
        with pytest.raises(KeyboardInterrupt):
            export(Batches(pa.RecordBatchReader.from_batches(schema, broken())), tmp_path / f"x.{form}", arrow=True)
    assert list(tmp_path.iterdir()) == []

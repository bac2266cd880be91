import csv
import hashlib
import io
import json

import duckdb
import polars as pl
import pytest
from pyarrow.parquet import ParquetFile
from typer.testing import CliRunner

from photogenic.app.cli.main import program
from photogenic.warehouse import InputError, QueryError, StoreError


@pytest.fixture
def run(swipes_db):
    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(
            program, ["sql", *map(str, arguments)], input=stdin, env={"FEATURES_STORE": str(swipes_db.layout.root)}
        )

    return invoke


def test_one_query_three_forms(run):
    query = "select count(*) as n, avg(liked::int) as ratio, null as nothing from swipes"
    assert json.loads(run(query, "--format", "json").stdout) == [{"n": 5000, "ratio": 0.3334, "nothing": None}]
    assert list(csv.reader(io.StringIO(run(query, "--format", "csv").stdout)))[1] == ["5000", "0.3334", ""]
    assert run(query).stdout.split()[-3:] == ["5000", "0.3334", "∅"]


def test_the_query_may_come_from_a_file_or_from_stdin(run, tmp_path):
    file = tmp_path / "query.sql"
    file.write_text("select 'from a file' as x;")
    assert "from a file" in run("-f", file).stdout
    assert "from stdin" in run(stdin="select 'from stdin' as x").stdout


def test_parameters_work_with_every_way_in_and_out(run, tmp_path):
    query = "select count(*) as n, $who as who from swipes where liked = $liked"
    given = ["--param", "liked=true", "--param", "who=x' or 1 = 1"]
    expected = [{"n": 1667, "who": "x' or 1 = 1"}]
    file, target = tmp_path / "query.sql", tmp_path / "out.json"
    file.write_text(query)
    assert json.loads(run(query, *given, "--format", "json").stdout) == expected
    assert json.loads(run("-f", file, *given, "--format", "json").stdout) == expected
    assert json.loads(run(*given, "--format", "json", stdin=query).stdout) == expected
    run(query, *given, "--output", target)
    assert json.loads(target.read_text()) == expected
    assert "1667" in run(query, *given).stdout


def test_a_parameter_can_be_the_bytes_of_a_file(run, tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(range(256)))
    query = "select octet_length($upload) as n, $upload = $upload::blob as is_blob, md5($upload) as digest"
    found = json.loads(run(query, "--param", f"upload=@{file}", "--format", "json").stdout)
    assert found == [{"n": 256, "is_blob": True, "digest": hashlib.md5(file.read_bytes()).hexdigest()}]
    missing = run(query, "--param", f"upload=@{tmp_path / 'none'}").exception
    assert isinstance(missing, QueryError)
    assert "a file of at most" in missing.expected


@pytest.mark.parametrize("given", [[], ["--param", "m=1"], ["--param", "n"], ["--param", "n=[1]"]])
def test_parameters_that_do_not_fit_are_errors_of_the_query(run, given):
    assert isinstance(run("select $n", *given).exception, QueryError)


def test_a_table_is_cut_at_a_thousand_rows_and_says_so(run):
    cut = run("select * from swipes")
    assert cut.stdout.count("sender-") == 1000
    assert "Cut at 1,000 rows" in cut.stderr
    whole = run("select * from swipes", "--limit", 5000)
    assert whole.stdout.count("sender-") == 5000
    assert whole.stderr == ""


def test_data_for_programs_is_cut_only_when_asked(run):
    assert len(json.loads(run("select * from swipes", "--format", "json").stdout)) == 5000
    limited = run("select * from swipes", "--format", "json", "--limit", 2)
    assert len(json.loads(limited.stdout)) == 2
    assert limited.stderr == "There are more.\n"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("all.csv", lambda path: pl.read_csv(path, try_parse_dates=True)),
        ("all.json", pl.read_json),
        ("all.parquet", pl.read_parquet),
    ],
)
def test_exports_hold_every_row(run, tmp_path, name, read):
    done = run("select * from swipes order by swiped_at", "--output", tmp_path / name)
    assert done.stdout == ""
    assert done.stderr.startswith("5,000 rows are in")
    frame = read(tmp_path / name)
    assert frame.columns == ["sender_id", "recipient_id", "liked", "swiped_at", "event_id"]
    assert frame["sender_id"].to_list() == [f"sender-{n}" for n in range(5000)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_parquet_export_keeps_types_and_an_empty_answer_its_columns(run, tmp_path):
    run("select * from swipes where false", "--output", tmp_path / "none.parquet")
    frame = pl.read_parquet(tmp_path / "none.parquet")
    assert frame.schema["swiped_at"] == pl.Datetime("us")
    assert frame.schema["liked"] == pl.Boolean
    assert frame.height == 0


def test_wide_rows_leave_in_row_groups_that_fit_the_memory(run, tmp_path):
    target = tmp_path / "wide.parquet"
    run("select sender_id, repeat('x', 50000) as wide from swipes order by sender_id", "--output", target)
    with ParquetFile(target) as file:
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
    assert sum(group.num_rows for group in groups) == 5_000
    assert max(group.num_rows for group in groups) < 5_000
    assert pl.read_parquet(target, columns=["sender_id"])["sender_id"].is_sorted()


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.parquet"])
def test_an_export_that_fails_leaves_the_former_file_and_says_why(run, tmp_path, name):
    target = tmp_path / name
    target.write_text("former")
    failed = run("select error('half-way') from swipes where sender_id = 'sender-4999'", "--output", target)
    assert isinstance(failed.exception, QueryError)
    assert "half-way" in failed.exception.what
    assert target.read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_export_needs_a_folder_and_a_known_ending(run, tmp_path):
    assert isinstance(run("select 1", "--output", tmp_path / "none" / "x.csv").exception, InputError)
    assert isinstance(run("select 1", "--output", tmp_path / "x.xlsx").exception, InputError)


def test_times_with_a_zone_are_printed_in_utc(run):
    query = "select timestamptz '2024-02-01 12:00:00+02' as at, [1, 2] as list"
    assert json.loads(run(query, "--format", "json").stdout) == [{"at": "2024-02-01T10:00:00Z", "list": [1, 2]}]


def test_show_prints_the_definition_without_a_store(tmp_path):
    shown = CliRunner().invoke(program, ["sql", "--show", "like_ratios", "--store", str(tmp_path / "none")])
    assert shown.stdout.startswith("-- like_ratios:")
    near = CliRunner().invoke(program, ["sql", "--show", "like_ratio"])
    assert isinstance(near.exception, QueryError)
    assert "like_ratios" in near.exception.expected


def test_nothing_can_be_written(run, tmp_path):
    for statement in (
        "insert into facts.swipes select * from facts.swipes",
        "create table x as select 1",
        f"copy (select 1) to '{tmp_path / 'x.csv'}'",
        f"select * from read_csv('{__file__}')",
        "set enable_external_access = true",
        "",
    ):
        assert isinstance(run(statement).exception, QueryError), statement
    assert list(tmp_path.iterdir()) == []


def test_no_store_and_no_file_are_errors_with_a_way_out(tmp_path):
    missing = CliRunner().invoke(program, ["sql", "select 1", "--store", str(tmp_path / "none")])
    assert isinstance(missing.exception, StoreError)
    assert not (tmp_path / "none").exists()
    assert isinstance(CliRunner().invoke(program, ["sql", "-f", str(tmp_path / "none.sql")]).exception, InputError)


@pytest.mark.parametrize(
    "arguments",
    [
        ["select 1", "-f", "query.sql"],
        ["select 1", "--show", "swipes"],
        ["select 1", "--output", "x.csv", "--limit", "3"],
        ["select 1", "--output", "x.csv", "--format", "json"],
        ["--show", "swipes", "--output", "x.csv"],
        ["--show", "swipes", "--param", "n=1"],
        ["select 1", "--limit", "-1"],
        ["select 1", "--format", "xml"],
        ["select 1", "--as-of", "9999-12-31T23:59:59-12:00"],
    ],
)
def test_options_that_make_no_sense_together_are_usage_errors(run, arguments):
    assert run(*arguments).exit_code == 2


def test_files_join_the_relations(run, tmp_path):
    meta = pl.DataFrame({"recipient_id": ["recipient-1", "recipient-2"], "price": [1, 20]})
    meta.write_csv(tmp_path / "meta.csv")
    meta.write_parquet(tmp_path / "more.parquet")
    with duckdb.connect(tmp_path / "other.duckdb") as con:
        con.execute("create table prices as select 'recipient-1' as recipient_id, 300 as price")
    query = """
        select sum(meta.price)::int as a, sum(more.price)::int as b, sum(prices.price)::int as c from swipes
        join meta using (recipient_id) join more using (recipient_id) left join other.prices using (recipient_id)
    """
    given = ["--table", f"meta={tmp_path / 'meta.csv'}", "--table", f"more={tmp_path / 'more.parquet'}"]
    found = run(query, *given, "--attach", tmp_path / "other.duckdb", "--format", "json")
    assert json.loads(found.stdout) == [{"a": 14995, "b": 14995, "c": 214500}]
    query = query.replace("other.", "mine.")
    found = run(query, *given, "--attach", f"mine={tmp_path / 'other.duckdb'}", "--format", "json")
    assert json.loads(found.stdout) == [{"a": 14995, "b": 14995, "c": 214500}]


def test_what_cannot_be_joined_is_refused(run, tmp_path):
    (tmp_path / "meta.csv").write_text("a\n1\n")
    assert isinstance(run("select 1", "--table", f"swipes={tmp_path / 'meta.csv'}").exception, InputError)
    assert isinstance(run("select 1", "--table", "meta.csv").exception, InputError)
    assert isinstance(run("select 1", "--attach", tmp_path / "meta.csv").exception, InputError)
    assert run("--show", "swipes", "--table", f"meta={tmp_path / 'meta.csv'}").exit_code == 2

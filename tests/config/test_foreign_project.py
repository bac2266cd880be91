"""A project that came with a download: nothing of its Python runs, and its SQL reaches no file, until it is allowed."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.sql_sandbox.pool import Sandbox
from photogenic.warehouse import Layout
from photogenic.warehouse.user_modules import use_project_module
from tests.warehouse.small import add_facts, store

FEATURES = Path(sys.executable).with_name("features")
HEADER = "-- {0}: rows\n--\n-- grain:  name\n-- reads:  users\n-- time:   any\n-- source: a stranger\n"
COLUMN = "select cast({1} as varchar) as name -- what it found\nfrom {0}"
HOSTILE = {
    "thief": COLUMN.format("read_text('/etc/passwd')", "content"),
    "lister": COLUMN.format("glob('/*')", "file"),
    "quoted": COLUMN.format("'/etc/passwd.csv'", "column0"),
    "writer": "copy (select 1) to 'written.csv'",
    "two": "select cast('a' as varchar) as name -- x\nfrom users; drop table facts.users",
    "caller": COLUMN.format("users", "getenv('HOME')"),
    "loader": "install httpfs",
    "setter": "set enable_external_access = true",
}


@pytest.fixture
def download(tmp_path, monkeypatch):
    """The folder of a project in which one types, and a store of one's own that its settings name."""
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT", "FEATURES_MODULES", "FEATURES_ENCODERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("p1", "ann")],
        main_photos=[("ann", "p1", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    folder = tmp_path / "download"
    (folder / "relations").mkdir(parents=True)
    section = "[project]\nname = 'lab'\nid = 'abcdefgh'\n"
    (folder / "photogenic.toml").write_text(f"store = '{db.layout.root}'\n{section}")
    (folder / "features.py").write_text("open('I_RAN', 'w').close()\nraise SystemExit(3)\n")
    for name, query in HOSTILE.items():
        (folder / f"relations/{name}.sql").write_text(HEADER.format(name) + query)
    monkeypatch.chdir(folder)
    yield folder
    use_project_module(None)


def ran(folder):
    return [path.name for path in folder.rglob("*") if path.name in ("I_RAN", "written.csv")]


@pytest.mark.parametrize(
    "line",
    [
        "config",
        "doctor",
        "encoders",
        "status",
        "build --only labels",
        "build --only labels --plan",
        "build --encoder mine",
        "train --head mine",
        "predict nothing.jpg --run mine",
        "sql --show users",
        "init other",
    ],
)
def test_no_command_runs_its_python(download, line):
    CliRunner().invoke(program, line.split())
    assert ran(download) == []


def test_it_is_said_how_to_allow_it(download):
    done = CliRunner().invoke(program, ["encoders"])
    assert done.exit_code == 0
    assert f"If you trust it: features init {download}" in done.stderr
    assert CliRunner().invoke(program, ["encoders", "--project", "."]).exit_code != 0
    assert ran(download) == ["I_RAN"]  # so the file would have run


def test_after_init_it_runs(download):
    (download / "features.py").write_text("open('I_RAN', 'w').close()")
    assert CliRunner().invoke(program, ["init", "."]).exit_code == 0
    assert ran(download) == []
    done = CliRunner().invoke(program, ["encoders"])
    assert (done.exit_code, done.stderr.count("features init")) == (0, 0)
    assert ran(download) == ["I_RAN"]
    shutil.copytree(download, download.with_name("copy"))
    (download.with_name("copy") / "I_RAN").unlink()
    os.chdir(download.with_name("copy"))
    CliRunner().invoke(program, ["encoders"])
    assert ran(download.with_name("copy")) == []


def test_its_sql_fails_as_a_query_of_the_web_would(download):
    done = CliRunner().invoke(program, ["build", "--only", "labels", "--format", "csv"])
    assert done.exit_code == 0, done.stderr
    opened = FeatureStore()
    assert opened.sql("select relation from own_relations where status <> 'failed'").rows() == []
    assert set(opened.sql("select relation from own_relations")["relation"]) == set(HOSTILE)
    assert opened.sql("select count(*) from users").item() == 2
    assert ran(download) == []
    assert b"root:" not in opened.layout.warehouse.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
async def test_the_cage_of_sql_does_not_run_it_even_if_the_project_is_named(download, monkeypatch, named):
    if named:
        monkeypatch.setenv("FEATURES_PROJECT", str(download))
    sandbox = Sandbox(Layout(download.parent / "store").root.absolute(), Limits(sql_at_once=1), 1)
    try:
        await sandbox.start()
        assert b'"rows":[[1]]' in await sandbox.rows("select 1", 1)
    finally:
        await sandbox.close()
    assert ran(download) == []


@pytest.mark.slow
async def test_the_server_does_not_run_it(download):
    FeatureStore().build(only="labels")
    server = await asyncio.create_subprocess_exec(
        FEATURES, "serve", "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(60):
            assert b"http://127.0.0.1:" in await server.stdout.readline()
    finally:
        server.terminate()
        await server.wait()
    assert ran(download) == []

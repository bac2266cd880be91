"""What a shell completes, asked as a shell asks: by variables of the environment."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import duckdb
import pytest

from photogenic import sql
from photogenic.app.cli.command_table import COMMANDS
from photogenic.app.cli.completion import MOST, columns, setups
from photogenic.features.encoders.published import PUBLISHED
from photogenic.features.vectors.training_set import Setup
from photogenic.models.data.targets import TARGETS
from photogenic.models.heads.registry import head_names
from photogenic.warehouse import Database, Layout, Settings

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")
LABEL = "select 'p1' photo_id, 'u1' user_id, '' gender, '' source, 1 value, 1 weight, true popular, 1 percentile"
NOW = dt.datetime(2024, 6, 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with 300 photos of 20 users, one run and the embeddings of a network of its own."""
    root = tmp_path_factory.mktemp("completed") / "store"
    with Database(Layout(root), Settings("500MB", threads=1)).write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " select format('u{:02d}', range), 'female', 1, $1, $1 from range(20)",
            [NOW],
        )
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
            " select format('p{:03d}', range), 'u01', null, null, $1, 1, [], $1 from range(300)",
            [NOW],
        )
        con.execute(
            "insert into facts.runs values"
            " ('0123456789ab', 'popular', 'all', 'dlib_face', 'ridge', 'mse', 0, 0, 0, 1, 1, '{}', '{}', $1,"
            " null, 'trained')",
            [NOW],
        )
    manifest = root / "embeddings" / "alexnet@3f2a9c01d4e5" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"encoder": "alexnet@3f2a9c01d4e5"}))
    return root


def completed(line, *, shell="bash", store="", **environment):
    """Return what the program prints for a half-typed line, which ends at the cursor."""
    asked = {
        "_FEATURES_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "FEATURES_STORE": str(store),
    }
    done = subprocess.run(
        [FEATURES], env=os.environ | asked | environment, capture_output=True, text=True, check=False, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def test_names_of_commands():
    assert completed("features b") == ["build", "backup"]
    assert completed("features ingest ") == [name.split()[1] for name in COMMANDS if name.startswith("ingest ")]


def test_names_of_options():
    assert completed("features build --en") == ["--encoder", "--engine"]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("features sql --show ", [*sql.NAMES]),
        ("features sql --show gender_", [name for name in sql.NAMES if name.startswith("gender_")]),
        ("features train --head ", head_names()),
        ("features train --target ", list(TARGETS)),
        ("features train --target photos.", ["photos.width", "photos.height", "photos.likes"]),
        (
            "features train --features users.followers,user",
            [f"users.followers,{name}." for name in ("users", "user_versions", "user_genders")],
        ),
        ("features train --weight users.f", ["users.followers"]),
        ("features train --setup ", ["all", "one_face"]),
        ("features build --feature photo_", ["photo_quality", "photo_persons"]),
        ("features build --only e", ["embeddings"]),
        ("features fetch --retry tim", ["timeout"]),
        ("features weights fetch dlib", ["dlib_face"]),
        ("features similar p1 --where perc", ["percentile"]),
        ("features status --format ", ["table", "csv", "json"]),
    ],
)
def test_names_that_the_program_knows_need_no_store(line, values):
    assert completed(line) == values


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("features build --encoder ", [*PUBLISHED, "alexnet@3f2a9c01d4e5"]),
        ("features train --encoder facenet+dlib", ["facenet+dlib_face"]),
        ("features predict --run ", ["0123456789ab"]),
        ("features similar p00", [f"p00{n}" for n in range(10)]),
        ("features erase u01 u1", [f"u1{n}" for n in range(10)]),
        ("features predict --for u00", ["u00"]),
    ],
)
def test_values_of_the_store(store, line, values):
    assert completed(line, store=store) == values


def test_the_store_of_the_line_comes_before_that_of_the_environment(store, tmp_path):
    assert completed(f"features predict --store {store} --run ", store=tmp_path / "other") == ["0123456789ab"]
    assert completed(f"features predict --store {tmp_path} --run ", store=store) == []


def test_an_option_and_its_value_may_be_joined_by_an_equal_sign(store):
    assert completed(f"features predict --store = {store} --run ") == ["0123456789ab"], "as bash splits it"
    assert completed("features build --encoder = dlib") == ["dlib_face"]
    assert completed("features build --encoder =") == list(PUBLISHED)
    assert completed("features build --encoder=dlib", shell="zsh") == ["_arguments '*: :((\"dlib_face\"))'"]


def test_few_of_many_ids_are_offered(store):
    assert len(completed("features similar p", store=store)) == MOST


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_ids_that_a_shell_would_evaluate_are_not_offered(shell, tmp_path):
    hostile = [
        "q$(touch x)",
        "q\\$(touch x)",
        "q`touch x`",
        "q;touch x",
        "q a b",
        "q\nb",
        "q'",
        'q"',
        "q*",
        "q\x1b[31m",
    ]
    harmless = ["q-1_2.jpg", "q@b+c=d:e/f,g%h"]
    with Database(Layout(tmp_path), Settings("500MB", threads=1)).write("test") as con:
        for name in [*hostile, *harmless, "-qdash", "~q"]:
            con.execute(
                "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
                " values ($1, 'female', 1, $2, $2)",
                [name, NOW],
            )
        con.execute(
            "insert into facts.runs values"
            " ('0123456789ab', 'a\\$(touch x)', 'all', 'one`', '\x1b[31m', 'mse', 0, 0, 0, 1, 1, '{}', '{}', $1,"
            " null, 'trained')",
            [NOW],
        )
        for name, summary in (("mine", "`touch x` $(touch x)"), ("q$(touch x)", "a"), ("damaged", "no header")):
            header = f"-- {name}: {summary}\n-- grain: a\n-- reads: users\n-- time: always\n-- source: a\n"
            text = summary if name == "damaged" else f"{header}select cast(1 as bigint) as n -- one\n"
            con.execute(
                "insert into facts.own_relations (relation, kind, definition, parameters, status, built_definition)"
                " values ($1, 'sql', $2, '{}', 'ok', $2)",
                [name, text],
            )
    manifest = tmp_path / "embeddings" / "one" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"encoder": "q$(touch x)"}))
    shown = "\n".join(completed("features sql --show ", store=tmp_path, shell=shell))
    assert "mine" in shown
    assert "damaged" not in shown
    assert not any(text in shown for text in ("(touch", "`touch"))
    found = "\n".join(completed("features erase q", store=tmp_path, shell=shell))
    assert "q-1_2.jpg" in found
    for line in ("features predict --run ", "features erase ", "features build --encoder q"):
        found += "\n".join(completed(line, store=tmp_path, shell=shell))
    assert not any(text in found for text in ("(touch", "`", "q a", "q'", "q*", "\x1b", "-qdash", "~q"))
    if shell == "bash":
        assert completed("features erase q", store=tmp_path) == harmless


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_receive_values_with_their_help(store, shell):
    (line,) = completed("features predict --run 01", shell=shell, store=store)
    assert "0123456789ab" in line
    assert "popular by ridge of dlib_face" in line


def test_files_are_left_to_the_shell(store):
    assert completed("features ingest users ", store=store) == []
    assert completed("features sql --file ", shell="zsh", store=store) == ["_files"]


def test_a_column_is_completed_inside_a_condition():
    assert "gender = 'female' and popular" in columns("gender = 'female' and pop")
    assert list(columns("gender = 'fem")) == []


def test_columns_are_those_that_a_condition_can_name(store):
    query = sql.read("search/labelled").replace("from photo_labels", f"from ({LABEL}) as photo_labels")
    with Database(Layout(store), Settings("500MB", threads=1)).read() as con:
        named = [name for name, *_ in con.execute(f"describe {query}").fetchall()]
    assert list(columns("")) == named


def test_setups_are_those_of_training():
    assert tuple(setups()) == get_args(Setup)


def files_of(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.mark.parametrize(
    "state", ["missing", "empty", "damaged", "never published", "not a folder", "pipes", "foreign"]
)
def test_a_store_that_cannot_be_read_gives_nothing_and_stays_as_it_is(state, store, tmp_path):
    root = tmp_path / "store"
    if state == "empty":
        root.mkdir()
    elif state == "damaged":
        root.mkdir()
        (root / "snapshot.duckdb").write_bytes(b"no database" * 1000)
        (root / "embeddings" / "one").mkdir(parents=True)
        (root / "embeddings" / "one" / "manifest.json").write_text("[")
    elif state == "never published":
        shutil.copytree(store, root)
        (root / "snapshot.duckdb").unlink()
    elif state == "not a folder":
        root.write_text("a file")
    elif state == "pipes":
        (root / "embeddings" / "one").mkdir(parents=True)
        os.mkfifo(root / "snapshot.duckdb")
        os.mkfifo(root / "embeddings" / "one" / "manifest.json")
    elif state == "foreign":
        (root / "embeddings" / "one").mkdir(parents=True)
        (root / "embeddings" / "one" / "manifest.json").write_text("[" * 100_000)
        with duckdb.connect(str(root / "snapshot.duckdb")) as con:
            con.execute("create table users as select 1 as user_id")
    before = files_of(tmp_path)
    lines = ["features similar p", "features build --encoder dlib"]
    if state == "foreign":  # other tables and columns; all else fails before a query
        lines += ["features predict --run ", "features erase u"]
    for line in lines:
        assert completed(line, store=root) == (["dlib_face"] if "encoder" in line else [])
    assert files_of(tmp_path) == before


def test_a_folder_of_an_unknown_person_gives_nothing():
    assert completed("features erase u", store="~nobody-of-this-name/store") == []


def test_the_variables_of_another_completion_do_not_matter(store):
    done = subprocess.run(
        [FEATURES, "--version"],
        env=os.environ | {"COMP_WORDS": "git =", "COMP_CWORD": "x"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_values_are_read_while_another_process_writes(store):
    with Database(Layout(store), Settings("500MB", threads=1)).write("test"):
        assert completed("features predict --run ", store=store) == ["0123456789ab"]


def test_settings_that_a_command_would_refuse_print_no_error(store):
    line = "features predict --target nonsense --run "
    assert completed(line, store=store, FEATURES_THREADS="many", FEATURES_LOG_FORMAT="xml") == ["0123456789ab"]


def test_bash_itself_completes_a_condition_in_quotes():
    script = subprocess.run(
        [FEATURES], env=os.environ | {"_FEATURES_COMPLETE": "source_bash"}, capture_output=True, text=True, check=True
    ).stdout
    words = """COMP_WORDS=(features similar p1 --where "\\"gender = 'female' and pop"); COMP_CWORD=4"""
    done = subprocess.run(
        ["bash", "-c", f'{script}\n{words}\n_features_completion {FEATURES}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "gender = 'female' and popular\n"
    assert done.stderr == ""

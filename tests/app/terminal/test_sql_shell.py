import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from photogenic import FeatureStore
from photogenic.app.terminal.catalog import Catalog
from photogenic.app.terminal.sql_completion import SqlCompleter
from photogenic.app.terminal.sql_shell import prompt


@pytest.fixture
def type_in(swipes_db, capsys):
    """Return a function that types keys and Ctrl-D at the prompt, and returns stdout and stderr."""

    def run(keys, limit=10, history=None, parameters=None):
        with create_pipe_input() as pipe:
            pipe.send_text(keys + "\x04")
            prompt(
                swipes_db,
                limit=limit,
                parameters=parameters,
                history=history or InMemoryHistory(),
                input=pipe,
                output=DummyOutput(),
            )
        return capsys.readouterr()

    return run


def test_a_statement_of_several_lines_runs_at_its_semicolon(type_in):
    out, err = type_in("select count(*) as n\rfrom swipes\rwhere liked;\r")
    assert out.split()[-1] == "1667"
    assert "Cut" not in err


def test_a_message_cannot_control_the_terminal(type_in):
    _, err = type_in("select ('ab' || chr(27) || '[2J' || chr(8238) || 'c')::int;\r")
    assert "'ab\\x1b[2J\\u202ec'" in err
    assert "\x1b" not in err


def test_the_row_limit_is_reported(type_in):
    out, err = type_in("select * from swipes;\r", limit=3)
    assert out.count("sender-") == 3
    assert "Cut at 3 rows; 4,997 are left out." in err
    assert "Cut" not in type_in("select * from swipes limit 3;\r", limit=3).err


def test_statements_that_do_not_only_read_are_refused(type_in, swipes_db):
    before = swipes_db.layout.snapshot.read_bytes()
    copy = f"copy (select 1) to '{swipes_db.layout.snapshot}' (format csv, use_tmp_file false);\r"
    out, err = type_in(f"{copy}set variable x = 1;\rselect 1; select 2;\rselect 42 as answer;\r")
    assert ("COPY is not allowed here" in err, "SET is not allowed here" in err, "2 statements" in err) == (
        True,
        True,
        True,
    )
    assert out.split()[-1] == "42"
    assert swipes_db.layout.snapshot.read_bytes() == before


def test_the_prompt_continues_after_an_error(type_in):
    out, err = type_in("select * from swipez;\rselect 42 as answer;\r")
    assert "There is no relation swipez." in err
    assert "42" in out


def test_export_writes_all_rows_of_the_last_query(type_in, tmp_path):
    err = type_in(f"select * from swipes;\r.export {tmp_path / 'all.parquet'}\r", limit=3).err
    assert "5,000 rows are in" in err
    assert pq.read_table(tmp_path / "all.parquet").num_rows == 5000


def test_export_writes_the_rows_of_the_parameters_that_the_query_had(type_in, tmp_path):
    file = tmp_path / "all.parquet"
    type_in(f"\\set n 41\rselect $n as n;\r\\set N 7\r\\unset n\r.export {file}\r")
    assert pq.read_table(file).to_pydict() == {"n": [41]}


def test_export_before_a_query_and_unknown_commands_say_what_to_do(type_in):
    err = type_in(".export x.csv\r.wat\r.show nothing\r").err
    assert "there is none yet" in err
    assert ".wat is not a command" in err
    assert "There is no relation nothing." in err


def test_tables_show_and_help(type_in):
    out, err = type_in(".tables\r.show like_ratios\r.help\r")
    assert "gender_breakdown" in out
    assert "-- like_ratios:" in out
    assert ".export FILE" in err


@pytest.mark.parametrize("ask", ["help\r", "HELP;\r", "\\h\r", "\\?\r", ".help\r"])
def test_help_has_many_names(type_in, ask):
    assert "list the columns of a relation" in type_in(ask).err


def test_relations_and_their_columns_are_listed(type_in):
    out, err = type_in("\\d\r\\d swipes\r\\d SWIPES;\r\\d nothing\r\\d like_ratios\r")
    assert "gender_breakdown" in out
    (line, again) = (line.split(maxsplit=2) for line in out.splitlines() if line.startswith("liked"))
    assert line == again
    assert line[:2] == ["liked", "boolean"]
    assert line[2] != "∅"
    assert "There is no relation nothing." in err
    assert "The relation like_ratios has not been computed yet." in err


def test_rows_are_printed_as_records_when_asked(type_in):
    assert "row 1 ─" in type_in("\\x\rselect 1 as one;\r").out
    assert "row 1 ─" not in type_in("\\x\r\\x\rselect 1 as one;\r").out


def test_parameters_are_set_listed_and_removed(type_in):
    keys = "\\set n 41\r\\set $who it's; me\rselect $n + 1 as a, $who as b;\r\\set\r\\unset n\rselect $n;\r"
    out, err = type_in(keys)
    assert out.splitlines()[2].split(maxsplit=1) == ["42", "it's; me"]
    assert "$n" in out.splitlines()[5]
    assert "The query needs a value for $n." in err


def test_upper_and_lower_case_are_one_parameter(type_in):
    err = type_in("\\set n 41\r\\unset N\rselect $n;\r").err
    assert "The query needs a value for $n." in err
    assert "has no value" not in err


def test_parameters_of_the_command_line_hold_and_need_not_be_used(type_in):
    out, err = type_in("select $N as a;\rselect 7 as b;\r\\set N 2\rselect $n as c;\r", parameters={"n": 1, "m": 3})
    assert [line.strip() for line in out.splitlines()[2::3]] == ["1", "7", "2"]
    assert "parameter" not in err


@pytest.mark.parametrize("keys", ["\\set n\r", "\\set a-b 1\r", "\\set n [1]\r", "\\unset n\r", "\\unset\r", "\\wat\r"])
def test_commands_that_do_not_fit_say_what_does(type_in, keys):
    assert len(type_in(keys).err.splitlines()) >= 2


@pytest.mark.parametrize("leave", [".quit\r", ".exit\r", "exit\r", "quit;\r", "\\q\r", "EXIT\r"])
def test_quit_leaves_the_prompt(type_in, leave):
    assert "1" not in type_in(f"{leave}select 1;\r").out


def test_ctrl_c_clears_the_line(type_in):
    out, _ = type_in("select 'no\x03select 'yes' as answer;\r")
    assert "yes" in out


def test_history_keeps_whole_statements(type_in):
    history = InMemoryHistory()
    type_in("select 1\r+ 1;\r.help\r", history=history)
    assert list(history.load_history_strings())[::-1] == ["select 1\n+ 1;", ".help"]


def test_enter_takes_no_completion_that_was_not_chosen(type_in):
    out, err = type_in("select 1 as s\t\r;\rselect 2 as se\t;\r")
    assert [line.strip() for line in out.splitlines()[::3]] == ["s", "se"], err


def offered(swipes_db, text, cursor=None):
    document = Document(text, len(text) if cursor is None else cursor)
    completer = SqlCompleter(Catalog.of(swipes_db))
    return [completion.text for completion in completer.get_completions(document, CompleteEvent())]


def test_completion_of_relations_and_keywords(swipes_db):
    assert "swipes" in offered(swipes_db, "select * from swi")
    assert "select" in offered(swipes_db, "SEL")
    assert offered(swipes_db, "") == []


def test_columns_of_relations_in_the_statement_come_first(swipes_db):
    assert offered(swipes_db, "select se from swipes", cursor=len("select se"))[0] == "sender_id"
    assert "set_at" not in offered(swipes_db, "select se from swipes", cursor=len("select se"))
    assert "set_at" in offered(swipes_db, "select se")


def test_columns_after_a_relation_and_its_dot(swipes_db):
    assert offered(swipes_db, "select swipes.li") == ["swipes.liked"]


@pytest.mark.parametrize(
    "text",
    ["select p.sen", "select p.sen from swipes p", "select p.sen from swipes as P where", "from swipes p where p.sen"],
)
def test_columns_of_an_alias_before_and_after_it_is_defined(swipes_db, text):
    assert offered(swipes_db, text, cursor=text.index("p.sen") + len("p.sen")) == ["p.sender_id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("t.", {"t.x": "a, b and 1 more", "t.y": "a"}), ("t. from a", {"t.x": "a", "t.y": "a"}), ("", {})],
)
def test_columns_have_their_relations_as_a_hint(text, expected):
    completer = SqlCompleter(Catalog({"a": ("x", "y"), "b": ("x",), "c": ("x",)}, ()))
    found = completer.get_completions(Document(text, min(2, len(text))), CompleteEvent())
    assert {one.text: one.display_meta_text for one in found} == expected


def test_relations_only_after_from(swipes_db):
    assert "swipes" in offered(swipes_db, "select * from sw")
    assert "sender_id" not in offered(swipes_db, "select * from se")
    assert "select" not in offered(swipes_db, "select * from se")


def test_functions_and_keywords_are_offered(swipes_db):
    assert "quantile_cont(" in offered(swipes_db, "select quantile")
    assert "read_csv(" not in offered(swipes_db, "select read_c")
    assert "join" in offered(swipes_db, "from swipes jo")


@pytest.mark.parametrize("text", ["select 'se", "select 1 -- se", "select 'it''s se"])
def test_nothing_is_offered_in_texts_and_comments(swipes_db, text):
    assert offered(swipes_db, text) == []


def test_completion_of_commands(swipes_db):
    assert offered(swipes_db, ".ex") == [".export"]
    assert offered(swipes_db, "\\un") == ["unset"]
    assert offered(swipes_db, "\\d swi") == ["swipes"]
    assert "like_ratios" not in offered(swipes_db, ".show li")  # the store was never built
    assert offered(swipes_db, ".show swi") == ["swipes"]


def cpu_s(pid):
    """Seconds of processor time that a process has taken."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_cancels_a_running_query_and_history_is_on_disk(swipes_db, tmp_path):
    ours, theirs = pty.openpty()
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"}
    process = subprocess.Popen(
        [Path(sys.executable).with_name("features"), "sql", "--store", swipes_db.layout.root],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal
    )
    os.close(theirs)
    seen = ""

    def until(text, timeout_s=20.0):
        nonlocal seen
        deadline = time.monotonic() + timeout_s
        while text not in seen:
            assert select.select([ours], [], [], max(deadline - time.monotonic(), 0))[0], seen
            seen += os.read(ours, 65536).decode(errors="replace")
        seen = seen.partition(text)[2]

    try:
        until("features>")
        os.write(ours, b"select count(*) from range(1000000000) a, range(1000) b where (a.range * b.range) % 7 = 3;\r")
        while not termios.tcgetattr(ours)[3] & termios.ISIG:  # until the prompt has given the terminal back
            time.sleep(0.05)
        before = cpu_s(process.pid)
        while cpu_s(process.pid) < before + 0.5:  # until the query runs
            time.sleep(0.05)
        os.write(ours, b"\x03")
        until("Cancelled.")
        until("features>")
        os.write(ours, b"select 6 * 7 as answer;\r")
        until("42")
        until("features>")
        os.write(ours, b"\x04")
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
    history = (tmp_path / "photogenic" / "sql_history").read_text()
    assert "select 6 * 7 as answer;" in history


def test_tables_of_ones_own_are_listed_shown_and_completed(swipes_db, capsys, tmp_path):
    with duckdb.connect(tmp_path / "other.duckdb") as con:
        con.execute("create table prices as select 1 as price, 'x' as currency")
    with (
        FeatureStore(swipes_db.layout.root) as store,
        store.joined({"meta": [{"recipient_id": "recipient-1", "note": "a"}]}, tmp_path / "other.duckdb") as db,
        create_pipe_input() as pipe,
    ):
        pipe.send_text(
            "\\d\r\\d meta\r\\d other.prices\r.show meta\rselect count(*) as n from swipes join meta using"
            " (recipient_id), other.prices;\r\x04"
        )
        prompt(db, limit=100, history=InMemoryHistory(), input=pipe, output=DummyOutput())
        out, err = capsys.readouterr()
        catalog = Catalog.of(db)
    assert "Error" not in err
    assert "table of your own: builtins.list" in out
    assert "table of an attached file" in out
    assert "currency" in out
    assert "715" in out
    completer = SqlCompleter(catalog)

    def offered(text):
        return [found.text for found in completer.get_completions(Document(text), CompleteEvent())]

    assert offered("from met") == ["meta"]
    assert offered("from other.p") == ["other.prices"]
    assert "note" in offered("select * from meta where no")
    assert offered("select * from meta where meta.n") == ["meta.note"]

"""The help of every command: whole sentences, and two examples that run as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from photogenic.app.cli.command_table import COMMANDS as TABLE
from photogenic.app.cli.command_table import GROUPS, below
from photogenic.app.cli.examples import EXAMPLES
from photogenic.app.cli.help_text import option_text
from photogenic.app.cli.main import program
from tests.app.program import COMMANDS

PROGRAM = [name for group in GROUPS for name, entry in below("").items() if entry.group == group]


def test_every_command_has_examples():
    assert EXAMPLES.keys() == {"", *TABLE}


@pytest.fixture
def shown(monkeypatch, capsys):
    """The help of a command at some width of the terminal."""

    def run(command, columns=120):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as ended:
            get_command(program).main([*command.split(), "--help"], prog_name="features")
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_two_examples(command, shown):
    text = shown(command).replace(" \\\n   ", "")  # a long example goes on in the next line
    assert text.endswith("\n\nExamples:\n" + "".join(f"  {line}\n" for line in EXAMPLES[command]))


@pytest.mark.parametrize(("command", "example"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_parsed_as_its_command(command, example, monkeypatch, tmp_path):
    (tmp_path / "photo-lab").mkdir()
    (tmp_path / "photo-lab" / "photogenic.toml").write_text('[project]\nname = "photo-lab"\nid = "0123456789ab"\n')
    monkeypatch.chdir(tmp_path)
    called = []
    words = shlex.split(example.partition(" < ")[0])
    assert words[: 1 + len(command.split())] == ["features", *command.split()]
    leaf = next(name for name in COMMANDS if words[1 : 1 + len(name.split())] == name.split())
    monkeypatch.setattr(COMMANDS[leaf], "callback", lambda **values: called.append(values))
    COMMANDS[leaf].main(words[1 + len(leaf.split()) :], standalone_mode=False)
    assert len(called) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole_sentences(command):
    leaf = COMMANDS[command]
    texts = [leaf.help, *(parameter.help for parameter in leaf.params if parameter.name != "help")]
    for text in texts:
        assert re.match(r"[A-Z]", text), text
        assert text.endswith("."), text
        assert not re.match(r"(Of|Whether|Which|Who|What|How|As) ", text), text


NOT_RUN = {
    "demo",
    "login",
    "listen",
    "sync",
    "crawl",
    "crawl instagram",
    "weights add",
    "train",
    "finetune",
    "serve",
} | {
    "ingest predictions",
    *(f"runs {verb}" for verb in ("show", "promote", "remove")),
}
"""Commands that need an app, a server, a file or a run of the user, do not end, or take minutes, as the demo does."""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_examples_run_as_they_stand_where_the_demo_was_made(tmp_path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    lines = [line for name, two in EXAMPLES.items() if name and name not in NOT_RUN for line in two]
    lines[lines.index("features erase u000003")] += " --yes"  # nobody answers
    last = ["features retract", "features erase"]  # they take back and remove the files that the others read
    lines.sort(key=lambda line: [line.startswith(command) for command in reversed(last)])
    for line in ("features demo --users 200", *lines):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr)


@pytest.mark.parametrize("command", EXAMPLES)
@pytest.mark.parametrize("columns", [80, 120, 200])
def test_help_fits_the_terminal_and_at_most_120_columns(command, columns, shown):
    text = shown(command, columns)
    assert max(map(len, text.splitlines())) <= min(columns, 120)
    examples = text.partition("\nExamples:\n")[2].replace(" \\\n   ", "")
    assert [line.strip() for line in examples.splitlines()] == list(EXAMPLES[command])


@pytest.mark.parametrize("name", TABLE)
def test_a_summary_stands_on_one_line_of_80_columns(name):
    assert len(TABLE[name].summary) <= 66
    assert TABLE[name].summary.endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_value_has_a_placeholder_and_flags_have_none(command):
    for parameter in COMMANDS[command].params:
        is_flag = getattr(parameter, "is_flag", False)
        assert bool(parameter.metavar) != is_flag, parameter.name
        assert not re.search(r"[<\[]", parameter.metavar or "")


def test_groups_of_the_program_hold_every_command(shown):
    text = shown("")
    headings = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert headings == [*GROUPS, "Options", "Examples"]
    assert {entry.group for entry in TABLE.values()} == set(GROUPS)
    assert re.findall(r"^  ([a-z-]+) ", text, re.MULTILINE)[: len(PROGRAM)] == PROGRAM


def test_default_and_environment_variable_are_shown(shown):
    text = " ".join(shown("serve").split())
    assert "--port PORT Port to listen on, or 0 for a free one. Default: 8000." in text
    assert "--store FOLDER Folder of the store. Default: store. Environment variable: FEATURES_STORE." in text
    assert "Environment variable: FEATURES_SERVE_TOKEN." in text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_is_named_once(command):
    for parameter in COMMANDS[command].params:
        assert option_text(parameter).count("Default: ") <= 1, parameter.name


@pytest.mark.parametrize(
    "words", [["train", "--no-by-time"], ["finetune", "--no-by-time"], ["fetch", "--no-allow-private"]]
)
def test_former_options_are_accepted_and_not_shown(words):
    command, option = words
    assert option not in CliRunner().invoke(program, [command, "--help"]).output
    unknown = CliRunner().invoke(program, [*words, "--nonsense"])
    assert unknown.exit_code == 2
    assert "--nonsense" in unknown.output
    assert option not in unknown.output

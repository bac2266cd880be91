"""The help of every command: whole sentences, and two examples that run as they stand."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from photogenic.app.cli.command_table import COMMANDS as TABLE
from photogenic.app.cli.examples import EXAMPLES
from photogenic.app.cli.main import program
from tests.app.program import COMMANDS


def test_every_command_has_examples():
    assert EXAMPLES.keys() == {"", *TABLE}


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_two_examples(command):
    shown = CliRunner().invoke(program, [*command.split(), "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.stdout.splitlines() if line.strip()]
    assert lines[-3:] == ["Examples:", *EXAMPLES[command]]


@pytest.mark.parametrize(("command", "example"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_parsed_as_its_command(command, example, monkeypatch):
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

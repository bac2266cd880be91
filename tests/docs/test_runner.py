"""The runner of pages: what counts as equal output, and what makes a page fail."""

from pathlib import Path

import pytest

from tests.docs.command_lines import _calls, check
from tests.docs.run import updated
from tests.docs.runner.compare import matches
from tests.docs.runner.page_runner import run_page
from tests.docs.runner.pages import Page


def page(tmp_path, text, front=""):
    path = tmp_path / "page.md"
    path.write_text(f"---\ntest: {{{front}}}\n---\n\n{text}\n")
    return Page.read(path)


@pytest.mark.parametrize(
    ("shown", "real", "equal"),
    [
        (["a"], ["a"], True),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
        (["..."], [], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["a", "...", "c"], ["a", "c", "d"], False),
        (["a ... of ..."], ["a 3 of 4"], True),
        (["a ... of ..."], ["a 3"], False),
        (["(1)"], ["(1)"], True),
        (["a"], ["", "a  ", ""], True),
        (["...", "a", "...", "a"], ["a", "b", "a"], True),
        (["a"], ["swipes: 237,048 rows in 2.0 s", "photos: 10 of 1,306 photos after 31 s", "a", "erase: 2.1 s"], True),
        (["a"], ["users.csv: 67 read", "a"], False),
    ],
)
def test_dots_stand_for_what_varies(shown, real, equal):
    assert matches(shown, real) is equal


def test_a_command_continues_after_a_backslash_in_quotes_and_in_a_here_document(tmp_path):
    text = "```console\n$ a \\\n  b\nout\n$ c \"d\ne\"\n$ cat <<END\nit's\nEND\nit's\n```"
    (block,) = page(tmp_path, text).blocks
    assert [(command.text, command.output) for command in block.commands()] == [
        ("a \\\n  b", ("out",)),
        ('c "d\ne"', ()),
        ("cat <<END\nit's\nEND", ("it's",)),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("build --plan", ""),
        ("--log-format json build", ""),
        ("ingest users users.csv --map user_id=member", ""),
        ("bild", "there is no command 'bild'"),
        ("ingest user users.csv", "there is no command 'user'"),
        ("build --fast", "--fast"),
        ("build --only everything", "everything"),
        ("--fast build", "no option --fast"),
    ],
)
def test_unknown_commands_options_and_choices_are_found(words, said):
    assert said in check(words.split(), strict=True)
    assert bool(check(words.split(), strict=True)) is bool(said)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("zcat a.gz | features ingest users - && features build", [["ingest", "users", "-"], ["build"]]),
        ("sudo -u photos /opt/photogenic/bin/features build > log 2>&1", [["build"]]),
        ("features status  # what is there", [["status"]]),
        ("FEATURES_THREADS=2 features build", [["build"]]),
        ("pip install .", []),
    ],
)
def test_calls_are_found_in_shell_lines(text, calls):
    assert list(_calls(text)) == calls


def test_names_in_prose_are_looked_up():
    assert not check(["build", "--plan", "FILE"], strict=False)
    assert check(["build", "--fast"], strict=False)


@pytest.mark.slow
def test_a_page_keeps_folder_and_variables_and_one_python_namespace(tmp_path, run):
    text = """
```console
$ export NAME=value; mkdir below; cd below
$ echo $NAME; pwd
value
.../below
```
```python title="mine.py"
X = 3
```
```python
import mine
y = mine.X + 1
```
```pycon
>>> y
4
```
```console
$ cat ../mine.py | head -1
X = 3
```
"""
    assert not run(page(tmp_path, text))


@pytest.mark.slow
def test_what_a_page_leaves_running_is_ended(tmp_path, run):
    assert not run(page(tmp_path, "```console\n$ timeout 300 sleep 300 > /dev/null & echo $! > pid\n```"))
    state = Path(f"/proc/{(tmp_path / 'page' / 'pid').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```console\n$ echo one\ntwo\n```", "+one"),
        ("```console\n$ features similar nobody\n...\n```", "exit code 1"),
        ("```console exit=1\n$ true\n```", "No command of the block ended with exit code 1"),
        ("```python\n1 / 0\n```", "ZeroDivisionError"),
        ("```pycon\n>>> 1 + 1\n3\n```", "Expected"),
        ("```sql\nselect * from nowhere\n```", "nowhere"),
    ],
)
def test_a_page_that_shows_something_else_fails(text, said, tmp_path, run):
    assert said in run(page(tmp_path, text))


@pytest.mark.slow
def test_update_writes_the_output_that_differs_and_keeps_dots(tmp_path, server):
    shown = page(tmp_path, "```console\n$ echo one\n...\n$ echo two\n```")
    folder = tmp_path / "folder"
    folder.mkdir()
    outcomes = list(run_page(shown, folder, server))
    assert updated(shown, outcomes).endswith("```console\n$ echo one\n...\n$ echo two\ntwo\n```\n")

"""docs/reference/command-line.md, from the commands of the program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from docs._tools.markdown import NOTE, code, plain, table
from photogenic.app.cli.command_table import COMMANDS, GROUPS
from photogenic.app.cli.examples import EXAMPLES
from photogenic.app.cli.help_text import default_words, usage_pieces
from photogenic.app.cli.main import program

INTRODUCTION = """\
# Command line

`features` is the program. `features COMMAND --help` prints what this page says about a command.

- Data goes to standard output, and everything else to standard error.
- Every command that works on a store takes `--store FOLDER`. Default: `$FEATURES_STORE`, else `./store`.
- Every command that prints data takes `--format table|csv|json`. JSON is one array of objects. Times are UTC.
- A command that was interrupted continues when you run it again.
- Variables that change what commands do are on the page [Settings](settings.md)."""

EXITS = (
    ("0", "The command did what it says."),
    (
        "1",
        "An error. One message says what happened, what was expected and what to do; see [Errors](errors.md). "
        "`doctor` ends so if a fault is left, `backup` if files of the store are damaged.",
    ),
    ("2", "The command line is wrong: an unknown command or option, a value out of range, options that contradict."),
    (
        "3",
        "`ingest`: more rows were refused than `--max-refused`, or fewer came than `--least-rows`. The other rows are "
        "kept. The same call again ends in the same way.",
    ),
    ("4", "`status --check`: a check failed. The table names each check with its remedy."),
    ("130", "The command was interrupted with Ctrl-C. Finished work is kept."),
    ("141", "The program that read the output has ended, as in `features sql ... | head`."),
    ("143", "The command was ended by SIGTERM. Finished work is kept. `serve` ends with 0 instead."),
)


def page(_: str) -> str:
    """Return the page."""
    root = get_command(program)
    commands = dict(leaves(root))
    grouped = [(group, [name for name in commands if COMMANDS[name].group == group]) for group in GROUPS]
    overview = [
        (group if n == 0 else "", f"[`features {name}`](#features-{_anchor(name)})", plain(COMMANDS[name].summary))
        for group, names in grouped
        for n, name in enumerate(names)
    ]
    parts = [
        NOTE,
        INTRODUCTION,
        "## All commands",
        table(("group", "command", "what it does"), overview),
        "## Exit codes",
        table(("code", "meaning"), EXITS),
        "## Options of the program",
        "They stand before the command: `features --log-format json build`.",
        _options(root.params, headings=False),
    ]
    for group, names in grouped:
        parts.append(f"## {group}")
        parts += [part for name in names for part in _command(name, commands[name])]
    return "\n\n".join(parts) + "\n"


def leaves(command: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and command of each command that does something, in the order of the help."""
    if not hasattr(command, "list_commands"):
        yield prefix, command
        return
    context = command.make_context("features", [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), f"{prefix} {name}".strip())


def _command(name: str, found: Any) -> Iterator[str]:
    yield f"### features {name}"
    yield "\n\n".join(plain(part) for part in (found.help or "").split("\n\n"))
    arguments = [one for one in found.params if one.param_type_name == "argument"]
    options = [one for one in found.params if one.param_type_name == "option" and not one.hidden]
    yield f"```text\n{' '.join(['features', name, *usage_pieces(found)])}\n```"
    if arguments:
        yield table(("argument", "meaning"), ((code(one.metavar), plain(one.help)) for one in arguments))
    yield _options(options)
    yield "```sh\n" + "\n".join(EXAMPLES[name]) + "\n```"


def _options(options: list[Any], *, headings: bool = True) -> str:
    groups: dict[str, list[Any]] = {"": []}
    for one in options:
        groups.setdefault(one.rich_help_panel or "", []).append(one)
    parts = []
    for heading, members in groups.items():
        if not members:
            continue
        if heading and headings:
            parts.append(f"**{heading}**")
        parts.append(table(("option", "meaning", "value", "default"), map(_row, members)))
    return "\n\n".join(parts)


def _row(one: Any) -> tuple[str, str, str, str]:
    names = [*sorted(one.opts, key=len, reverse=True), *one.secondary_opts]
    text = plain(one.help)
    if one.multiple and "several times" not in text:
        text += " May be given several times."
    if one.envvar:
        text += f" Variable: `{one.envvar}`."
    if one.required:
        text = f"Required. {text}"
    default = ", ".join(map(code, default_words(one)))
    return ", ".join(map(code, names)), text, _values(one), default


def _values(one: Any) -> str:
    if one.is_flag:
        return ""
    kind = one.type_descriptor.annotation
    if get_origin(kind) is Literal:
        return ", ".join(map(code, get_args(kind)))
    return code(one.metavar)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")

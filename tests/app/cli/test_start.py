"""What the program loads before it answers: no library of data, and only the modules of the command asked for."""

import json
import subprocess
import sys
import sysconfig

import pytest

from photogenic.app.cli.command_table import COMMANDS

OWN = {
    *("photogenic", "_lazy", "app", "app.cli", "app.terminal"),
    *(f"app.terminal.{name}" for name in ("cells", "logs", "streams")),
    *(f"app.cli.{name}" for name in ("checked_command", "command_table", "examples", "help_text", "lazy_group")),
    *("app.cli.main", "app.cli.termination"),
    *("config", "config.file", "config.values"),
    *("warehouse", "warehouse.errors", "warehouse.option_ranges", "warehouse.user_modules"),
    *(
        "warehouse.processes",
        "warehouse.processes.signal_watch",
        "warehouse.processes.threads",
        "warehouse.duckdb_store",
    ),
    *(f"warehouse.duckdb_store.{name}" for name in ("error_mapping", "interrupt", "settings")),
}
"""Modules of this project that every run of the program loads."""

SQL = {
    *("app.cli.commands", "app.cli.commands.options", "app.cli.commands.sql", "app.cli.completion"),
    *("app.terminal.export_rows", "app.terminal.output"),
    *(
        "sql",
        "warehouse.catalog",
        "warehouse.duckdb_store.distances",
        "warehouse.duckdb_store.parameters",
        "warehouse.duckdb_store.query",
        "warehouse.duckdb_store.query_errors",
    ),
}
"""Modules that the command `sql` adds."""

VERSION = {"sql", "warehouse.catalog", "warehouse.duckdb_store.migrations"}
"""Modules that the version of the store format adds."""

TYPER = {"annotated_doc", "photogenic", "shellingham", "typer", "typing_extensions"}
"""Installed packages that typer loads for the help of the program."""

VALUES = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}
"""Packages that typer loads to check values of options."""


def loaded(*words, environment=None):
    program = (
        "import json, os, sys\nos._exit = lambda code: None\nbefore = set(sys.modules)\n"
        "from photogenic.app.cli.main import main\n"
        "sys.argv = ['features', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, env=environment
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("line", "added"),
    [("--help", set()), ("--version", VERSION), ("ingest --help", set()), ("nonsense", set()), ("sql --help", SQL)],
)
def test_only_modules_of_the_command_are_loaded(line, added):
    modules = {name for name in loaded(*line.split()) if name.partition(".")[0] == "photogenic"}
    assert {name.removeprefix("photogenic.") for name in modules} <= OWN | added


@pytest.mark.parametrize(
    ("line", "added"),
    [
        ("--help", set()),
        ("--version", set()),
        ("sql --help", VALUES),
        ("build --help", VALUES),
        ("train --help", VALUES),
    ],
)
def test_no_library_is_loaded_but_typer(line, added):
    packages = {name.partition(".")[0] for name in loaded(*line.split())}
    assert packages - sys.stdlib_module_names - {*sys.builtin_module_names, sysconfig._get_sysconfigdata_name()} <= (
        TYPER | added
    )


@pytest.mark.parametrize("name", {entry.module: name for name, entry in COMMANDS.items() if entry.module}.values())
def test_a_command_loads_no_module_of_another(name):
    ours = f"photogenic.app.cli.commands.{COMMANDS[name].module}"
    others = {f"photogenic.app.cli.commands.{entry.module}" for entry in COMMANDS.values() if entry.module} - {ours}
    modules = loaded(*name.split(), "--help")
    assert ours in modules
    assert not modules & others

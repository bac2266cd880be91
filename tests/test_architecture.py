"""Layout of the code: allowed imports, lazy loading, and sizes of files and folders."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("app", "features", "ingest", "maintenance", "models", "sql", "synthetic", "warehouse")
BELOW = {
    "sql": set(),
    "warehouse": {"sql"},
    "ingest": {"sql", "warehouse"},
    "features": {"ingest", "sql", "warehouse"},
    "models": {"features", "ingest", "sql", "warehouse"},
    "maintenance": {"features", "ingest", "sql", "warehouse"},
    "synthetic": {"ingest", "sql", "warehouse"},
    "photogenic": {"features", "ingest", "maintenance", "models", "sql", "warehouse"},
    "app": {"features", "ingest", "maintenance", "models", "photogenic", "sql", "synthetic", "warehouse"},
}
"""Folders that each top-level folder may import besides itself."""

UPWARD = {
    "photogenic.store": {"photogenic.app.report.report"},
    "photogenic._encoders": {"photogenic.app.report.encoder_report"},
}
"""The allowed upward imports: methods of `FeatureStore` draw with app/report, which takes the open store."""

HEAVY = {
    "dlib",
    "faiss",
    "matplotlib",
    "mediapipe",
    "open_clip",
    "pandas",
    "pyspark",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
}
MOST_LINES = 500
"""Largest number of lines of a file."""

MOST_MODULES = 15
"""Largest number of modules of a folder."""

ENTRIES = ("app/cli/commands", "tests/bench")
"""Folders of entries of one kind, one per file, which may have more modules."""

SOURCES = sorted(
    path
    for room in (*ROOMS, "photogenic")
    for path in (ROOT / room).rglob("*.py")
    if "photogenic" not in path.relative_to(ROOT).parts[1:]
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def of_each(paths):
    """Make one test of a function of a path: as thousands of tests they would take several times as long."""

    def decorate(function):
        def test():
            wrong = []
            for path in paths:
                try:
                    function(path)
                except AssertionError as error:
                    wrong.append(f"{path.relative_to(ROOT)}: {error}")
            assert not wrong, "\n".join(wrong)

        test.__doc__ = function.__doc__
        return test

    return decorate


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


def imported(nodes):
    """Yield the dotted names of the modules that these nodes import; `from a import b` gives both `a` and `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tops(nodes):
    return {name.partition(".")[0] for name in imported(nodes)}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "photogenic" else ("photogenic", *parts))


MODULES = {module_of(path): path for path in SOURCES}


def on_loading(body):
    """Yield the nodes that run when a module is loaded: not those in functions, and not those for the type checker."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from on_loading(node.orelse)
            continue
        yield node
        for field in ("body", "orelse", "finalbody"):
            yield from on_loading(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from on_loading(handler.body)


def exported(tree):
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            return ast.literal_eval(node.value)
    return None


def room_of(module):
    """Return the top-level folder of one of our modules; for the facade and the package itself, `photogenic`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "photogenic"


@of_each(SOURCES)
def test_imports_follow_the_order_of_the_folders(path):
    room = room_of(module_of(path))
    names = set(imported(ast.walk(tree_of(path))))
    names -= UPWARD.get(module_of(path), set())
    rooms = {room_of(name) for name in names if name in MODULES and name not in ("photogenic", "photogenic._lazy")}
    assert rooms <= BELOW[room] | {room}


def test_the_report_does_not_import_the_facade():
    """The exception in `UPWARD` must not make a circle."""
    for path in (ROOT / "app" / "report").rglob("*.py"):
        names = set(imported(ast.walk(tree_of(path))))
        assert not names & {"photogenic.store", "photogenic.FeatureStore"}, path


@of_each([*SOURCES, *TESTS])
def test_nothing_is_imported_by_a_bare_name(path):
    assert not tops(ast.walk(tree_of(path))) & set(ROOMS)


def test_modules_form_no_circle():
    """Imports inside functions count too, since they make circles as well."""
    arrows = {}
    for module, path in MODULES.items():
        names = set(imported(ast.walk(tree_of(path)))) & set(MODULES)
        arrows[module] = {name for name in names if name != module and path.name != "__init__.py"}
    assert list(circles(arrows)) == []


def circles(arrows):
    """Yield circles: remove modules that import no remaining module, or that none imports; the rest are circles."""
    left = {module: set(names) for module, names in arrows.items()}
    while free := [module for module, names in left.items() if not names & set(left)]:
        for module in free:
            del left[module]
    while free := [module for module in left if not any(module in names for names in left.values())]:
        for module in free:
            del left[module]
    for module, names in sorted(left.items()):
        yield f"{module} -> {', '.join(sorted(names & set(left)))}"


NETWORKS = "photogenic.features.encoders.networks"
"""A network is a torch module by definition, so its file loads torch; others import it inside functions."""


@of_each(SOURCES)
def test_heavy_libraries_come_from_the_lazy_module(path):
    allowed = {"torch", "torchvision"} if module_of(path).startswith(NETWORKS) else set()
    assert HEAVY & tops(on_loading(tree_of(path).body)) <= allowed


SLOW = ("photogenic.warehouse.spark.sql_translate", "photogenic.warehouse.definitions.additive")
"""They build on sqlglot, which takes long to load, so they are imported inside the functions that need them."""

DEEP = {"mediapipe", "pyspark", "PIL"}
"""Libraries with nested modules that the lazy module does not reach, or with the name of one of our folders."""


@functools.cache
def loaded_by_help():
    """Return our modules that are loaded before any command or method does any work."""
    program = (
        "import sys\nimport photogenic.store\nfrom photogenic.app.cli.main import program\n"
        "from typer.main import get_command\n"
        "list(get_command(program).commands.values())\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name for name in done.stdout.split() if name.startswith("photogenic")}


@of_each(SOURCES)
def test_imports_are_at_the_head_of_the_file(path):
    """Files that a help or an open store loads are exempt: they import libraries inside functions."""
    if module_of(path) in loaded_by_help() or module_of(path).startswith((NETWORKS, "photogenic.app.cli")):
        return
    tree = tree_of(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = set(imported(node for function in functions for node in ast.walk(function)))
    assert {
        name for name in inside if not name.startswith((NETWORKS, *SLOW)) and name.partition(".")[0] not in DEEP
    } == set()


def test_helpers_find_imports_and_circles():
    tree = ast.parse(
        "from __future__ import annotations\nimport a.b\n"
        "if TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
        "try:\n    import e\nexcept ImportError:\n    import f\n"
        "def g():\n    import h\nclass I:\n    import j\n"
    )
    assert tops(on_loading(tree.body)) == {"__future__", "a", "d", "e", "f", "j"}
    assert tops(ast.walk(tree)) == {"__future__", "a", "c", "d", "e", "f", "h", "j"}
    assert set(circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()})) == {"b -> c", "c -> b"}


@of_each(SOURCES)
def test_a_module_has_a_docstring_and_a_sorted_list_of_exports(path):
    tree = tree_of(path)
    offered = exported(tree)
    assert offered is not None, "no __all__"
    assert offered == sorted(offered, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert ast.get_docstring(tree), "no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_the_docstring_of_a_top_level_folder_begins_with_its_name(room):
    lines = ast.get_docstring(tree_of(ROOT / room / "__init__.py")).splitlines()
    assert lines[0].startswith(f"{room}: ")
    assert 3 <= len(lines) <= 10


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_has_the_name_of_an_export_of_its_folder(room):
    # When the file is imported, the module would replace the export.
    offered = exported(tree_of(ROOT / room / "__init__.py"))
    assert not set(offered) & {path.stem for path in (ROOT / room).glob("*.py")}


@of_each([*SOURCES, *TESTS])
def test_a_file_has_few_lines(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


FOLDERS = sorted({path.parent for path in [*SOURCES, *TESTS]})


@of_each(FOLDERS)
def test_a_folder_has_few_modules(path):
    modules = [entry for entry in path.glob("*.py") if entry.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES or str(path.relative_to(ROOT)) in ENTRIES


@of_each([folder for folder in FOLDERS if "tests" not in folder.parts])
def test_no_two_modules_differ_only_by_an_ending(path):
    stems = [re.sub(r"(ing|ion|ed|er|s|e)$", "", entry.stem) for entry in path.glob("*.py")]
    assert sorted(set(stems)) == sorted(stems)


@of_each(sorted({folder for folder in FOLDERS if "tests" not in folder.parts}))
def test_a_folder_has_a_docstring(path):
    assert ast.get_docstring(tree_of(path / "__init__.py"))


def test_there_are_no_other_folders():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    known = {*ROOMS, "deploy", "docs", "photogenic", "tests"}
    assert {line.partition("/")[0] for line in tracked.splitlines()} <= known


def test_every_folder_is_linked_into_the_package():
    links = {entry.name: entry.readlink() for entry in (ROOT / "photogenic").iterdir() if entry.is_symlink()}
    assert links == {room: Path("..") / room for room in ROOMS}


@pytest.mark.parametrize("line", ["--help", "build --help", "sql --help", "--version"])
def test_help_loads_nothing_heavy(line):
    program = (
        "import sys\nfrom photogenic.app.cli.main import main\nsys.argv = ['features', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *line.split()], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {"photogenic", "typer"} <= loaded
    assert not loaded & (HEAVY | {"PIL", "aiohttp", "asyncio", "duckdb", "numpy", "polars", "pyarrow"})
    if line.startswith("--"):
        assert "rich" not in loaded


def test_everything_is_imported_without_the_packages_of_extras():
    """`pip install .` installs neither pyspark nor pandas."""
    modules = [name for name in MODULES if not name.endswith("__main__")]
    program = (
        "import importlib, sys\nsys.modules |= dict.fromkeys(('pyspark', 'pandas', 'grpc', 'dlib'))\n"
        "for name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

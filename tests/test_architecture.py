"""The shape of the house: which room may import which, what loads lazily, how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARROW = ("app", "models", "features", "ingest", "warehouse", "sql")
"""Each room may import itself and those to its right."""

HEAVY = {
    "dlib",
    "faiss",
    "matplotlib",
    "mediapipe",
    "pandas",
    "pyspark",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
}
ONE_SITTING, ONE_SITTING_OF_TESTS = 300, 400
"""Lines that a file may have."""

SOURCES = sorted(path for room in ARROW for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def imported(nodes):
    """The first parts of the modules that these nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.module.partition(".")[0]


def on_loading(body):
    """The nodes that run when a module is loaded: not those in functions, nor those for the type checker."""
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


@named(SOURCES)
def test_the_arrow_of_imports_points_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    rooms = set(imported(ast.walk(ast.parse(path.read_text())))) & set(ARROW)
    assert rooms <= set(ARROW[ARROW.index(room) :])


@named(SOURCES)
def test_heavy_libraries_load_inside_functions(path):
    assert HEAVY & set(imported(on_loading(ast.parse(path.read_text()).body))) <= allowed_above(path)


def allowed_above(path):
    """A network is a torch module by definition; only functions that need torch import its file."""
    return {"torch", "torchvision"} if (ROOT / "features" / "networks") in path.parents else set()


def test_the_finders_find():
    tree = ast.parse(
        "from __future__ import annotations\nimport a.b\n"
        "if TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
        "try:\n    import e\nexcept ImportError:\n    import f\n"
        "def g():\n    import h\nclass I:\n    import j\n"
    )
    assert set(imported(on_loading(tree.body))) == {"__future__", "a", "d", "e", "f", "j"}
    assert set(imported(ast.walk(tree))) == {"__future__", "a", "c", "d", "e", "f", "h", "j"}


@named(SOURCES)
def test_what_a_module_offers_is_listed_and_sorted(path):
    tree = ast.parse(path.read_text())
    offered = exported(tree)
    assert offered is not None, "no __all__"
    assert offered == sorted(offered, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert ast.get_docstring(tree), "no docstring"


@pytest.mark.parametrize("room", ARROW)
def test_a_room_says_what_it_is(room):
    lines = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())).splitlines()
    assert lines[0].startswith(f"{room}: ")
    assert 3 <= len(lines) <= 10


@pytest.mark.parametrize("room", ARROW)
def test_no_file_is_called_like_something_its_room_offers(room):
    # Importing the file would put the module in the place of the thing.
    offered = exported(ast.parse((ROOT / room / "__init__.py").read_text()))
    assert not set(offered) & {path.stem for path in (ROOT / room).glob("*.py")}


@named([*SOURCES, *TESTS])
def test_a_file_is_one_sitting(path):
    limit = ONE_SITTING_OF_TESTS if path in TESTS else ONE_SITTING
    n_lines = len(path.read_text().splitlines())
    assert n_lines <= limit


def test_the_rooms_are_all_there_is():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert {line.partition("/")[0] for line in tracked.splitlines()} <= {*ARROW, "tests"}


@pytest.mark.parametrize("line", ["--help", "build --help", "sql --help", "--version"])
def test_help_loads_nothing_heavy(line):
    program = (
        "import sys\nfrom app.cli import main\nsys.argv = ['features', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *line.split()], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {"app", "typer"} <= loaded
    assert not loaded & (HEAVY | {"PIL", "aiohttp", "asyncio", "duckdb", "numpy", "polars", "pyarrow"})

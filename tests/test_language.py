"""Words of the old private dialect do not come back: not in docstrings, comments, messages, help texts or SQL comments.

Identifiers in backticks, names with underscores and SQL statements in strings are left out: relations, columns and
options keep the spelling that users script against.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from photogenic.sql import RELATIONS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("app", "features", "ingest", "maintenance", "models", "photogenic", "sql", "synthetic", "tests", "warehouse")
NOT_YET_CONVERTED: tuple[str, ...] = ()
"""Path prefixes whose prose is still to be rewritten."""

DIALECT = {
    r"\bhears?\b": "receives; 'Callback for progress updates.'",
    r"\bwho(?:m|se)?(?:so)?ever\b": "the caller, the process, anyone who",
    r"\bin whose\b": "by which, in which",
    r"\b(?:is|are|was|were|be|been|being|can be) told\b": "is given, is passed, receives",
    r"\b(?:tells?|told|telling) (?:of|the world)\b": "describes, reports, names",
    r"(?:^|[.;:] )Of (?!course\b)": "name the thing first: 'The type of ...'",
    r"\banew\b": "again, from scratch",
    r"\bin (?:its|his|her|their|the) eyes\b": "by, according to",
    r"\b(?:one should|ought to) know\b": "a note, a warning",
    r"\bpatience\b": "timeout",
    r"\bl(?:ies?|ay|ying) about\b": "is left over",
    r"\b(?:whence|thereof|wherein|hitherto|henceforth|likewise|thereupon|therein|heretofore)\b": "a plain word",
    r"\bas (?:it|they) likes?\b": "as long as it is open",
    r"\bheal(?:s|ed|ing)?\b": "repairs, resolves",
    r"\b(?:this|that|both|either) roads?\b": "way, path, method",
    r"\b(?:it|that|which|or) (?:is|are) none\b": "name the condition: 'it is not a JSON object'",
    r"\bnobody (?:remembers|knows|told|asked|listens|looks|waits)\b": "a sentence with a subject",
    r"\bdoes not listen\b": "ignores",
    r"\bas (?:it|one) is said\b": "a sentence with a subject",
    r"\bless its\b": "without its",
    r"\bof (?:yours|theirs|hers|his|ours)\b": "of the user, of this program",
    r"\bhalf-way\b": "halfway",
    r"\bfrom (?:here|now) on this\b": "from this call on",
    r"\bwhat one\b(?! (?:user|person|engine|of)\b)": "what you, what the user",
    r"^As (?:`|for the |the |in )": "a sentence: 'Do the same as `x`, but ...'",
    r"\bpretended\b": "simulated",
}
"""Pattern over one sentence or line of prose -> what to write in its place."""

SPELLING = {
    r"colour": "color",
    r"neighbour": "neighbor",
    r"\blicence": "license",
    r"\bcatalogue": "catalog",
    r"\bartefact": "artifact",
    r"\bbehaviour": "behavior",
    r"\bfavour": "favor",
    r"\bhonour": "honor",
    r"\bcentre": "center",
    r"\bgrey\b": "gray",
    r"\b(?:organ|recogn|normal|regular|optim|initial|serial|summar|minim|maxim|random|standard|synchron|quant|token|real)"
    r"is(?:e[ds]?|ing|ations?)\b": "-ize",
}
"""British spelling -> American."""

NAMES = {
    "told": "map_engine_errors",
    "trouble": "classify_error",
    "damage": "corruption_error",
    "silent": "no_progress",
    "anew": "force",
    "look_last": "append_module_folders",
    "Stower": "WriterProcess",
    "Scribe": "JournalWriter",
    "Shelf": "VectorWriter, ImageStore",
    "Sightings": "FaceDetections",
    "Sighting": "DetectionResult",
    "Shortcut": "IvfIndex",
    "Selection": "PhotoFilter",
    "Lanes": "HostScheduler",
    "Lane": "HostQueue",
    "Judged": "Predictions",
    "Rival": "Comparison",
    "Contests": "RunComparisons",
    "Origins": "Groups",
    "Division": "SplitConfig",
    "Order": "PhotoTask",
    "Prepared": "PreparedBatch",
    "Preparer": "Preprocessor",
    "Cut": "InputSpec",
    "Eyes": "Projection",
    "Lesson": "FinetuneData",
}
"""Names of functions and classes that went -> the names that they have now."""

_SQL = re.compile(r"^\W*(?:select|insert|update|delete|create|from|with|copy|set|attach|drop|alter|comment|union)\b")
_CODE = re.compile(
    r"(?m)^ *\w+: |``?[^`]*``?|\b\w*_\w*\b|\bhttps?://\S+|--[\w-]+|\b[\w/-]+\.\w+\b|\bnormalise\b|\bcentre, "
    r"|\"centre\"|\blicence=|\brelation neighbours\b|^neighbours (?:toy|dlib_face)?$"
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_prose_is_plain_english(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {hit!r}: write {instead}"
        for path in _sources(folder)
        for line, hit, instead in _dialect(path)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_that_went_do_not_come_back(folder: str) -> None:
    went = re.compile(rf"^\s*(?:def|class) ({'|'.join(NAMES)})\b", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {name} is now {NAMES[name]}"
        for path in _sources(folder)
        if path.suffix == ".py"
        for name in went.findall(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "hit"),
    [
        ('"""Do it.\n\nArgs:\n    progress: hears of every photo.\n"""\n', "hears"),
        ("x = 1  # whoever reads it\n", "whoever"),
        ('raise ValueError("The colour of the picture is wrong.")\n', "colour"),
        ('raise ValueError(f"The store {x} is made anew.")\n', "anew"),
        ('def f():\n    """Of the vectors, the largest."""\n', "Of"),
    ],
    ids=["docstring", "comment", "message", "formatted_message", "sentence_that_begins_with_of"],
)
def test_the_old_dialect_is_found_in(source: str, hit: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")

    assert hit in {word.strip() for _, word, _ in _dialect(path)}


@pytest.mark.parametrize(
    "source",
    [
        'con.execute("select neighbour_id from neighbours")\n',
        '"""Read `neighbours` and `colourfulness`."""\n',
        "neighbours = colour = 1\n",
    ],
    ids=["sql_statement", "backticks", "identifiers"],
)
def test_relations_and_identifiers_keep_their_spelling_in(source: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")

    assert list(_dialect(path)) == []


def _sources(folder: str) -> Iterator[Path]:
    for path in sorted((ROOT / folder).rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        is_link = any(parent.is_symlink() for parent in path.parents)
        if path.suffix not in (".py", ".sql") or is_link or path == Path(__file__).resolve():
            continue
        if path.parent == ROOT / "sql" and path.stem in RELATIONS:
            continue  # a computed relation is stale as soon as its text changes, comments included
        if not any(name == skipped or name.startswith(f"{skipped}/") for skipped in NOT_YET_CONVERTED):
            yield path


@cache
def _patterns() -> tuple[re.Pattern[str], list[tuple[re.Pattern[str], str]]]:
    """One pattern of all of them, for files without a hit, and each with the advice."""
    rules = [(re.compile(pattern, re.MULTILINE), advice) for pattern, advice in DIALECT.items()]
    rules += [(re.compile(pattern, re.IGNORECASE), advice) for pattern, advice in SPELLING.items()]
    anywhere = "|".join(f"(?:{pattern.replace('^', '')})" for pattern in [*DIALECT, *SPELLING])
    return re.compile(anywhere, re.IGNORECASE), rules


def _dialect(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, text found and advice, for each hit in the prose of a file."""
    text = path.read_text(encoding="utf-8")
    anywhere, rules = _patterns()
    if anywhere.search(text) is None:
        return
    for start, prose in _prose(path, text):
        plain = _CODE.sub(lambda code: " " * len(code[0]), prose)
        for pattern, advice in rules:
            for hit in pattern.finditer(plain):
                yield start + plain.count("\n", 0, hit.start()), hit[0], advice


def _prose(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """First line and text of each comment, docstring and message."""
    if path.suffix == ".sql":
        for number, line in enumerate(text.splitlines(), start=1):
            _, dashes, comment = line.partition("--")
            if dashes:
                yield number, comment.strip()
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    tree = ast.parse(text)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            constants = [part.value for part in node.values if isinstance(part, ast.Constant)]
            message = "".join(part if isinstance(part, str) else "" for part in constants)
            if " " in message and not _SQL.search(message):
                yield node.lineno, message
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            is_prose = " " in node.value and not _SQL.search(node.value)
            if is_prose:
                yield node.lineno, re.sub(r"\n +", "\n", node.value)

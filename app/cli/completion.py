"""Values that a shell completes: names that the program knows, and ids and columns of the store of the half-typed line.

Names need no store. Ids are read from its snapshot, the first `MOST` that begin as typed. A store that is missing,
damaged or of another version gives no values; nothing is written and no message is printed.

Shells put a value into the line as it stands, and zsh even evaluates it. Ids come from strangers, so an id is offered
only if no shell gives any of its characters a meaning.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from photogenic._lazy import duckdb
from photogenic.config.file import load_config
from photogenic.warehouse.errors import PhotogenicError

if TYPE_CHECKING:
    from photogenic.warehouse.catalog import Relation

__all__ = [
    "MOST",
    "backbones",
    "by_option",
    "columns",
    "devices",
    "encoders",
    "features",
    "heads",
    "lineage_names",
    "photos",
    "project_relations",
    "recipes",
    "relation_columns",
    "relations",
    "runs",
    "separate_values",
    "setups",
    "statuses",
    "stored_encoders",
    "targets",
    "training_sets",
    "users",
    "weights",
]

MOST = 100
"""Largest number of ids to offer."""

_PLAIN = "[A-Za-z0-9_@%+.,/][A-Za-z0-9_@%+.,/:=-]*"
"""Pattern, for Python and for DuckDB, of the values of a store that are offered."""

_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"?|'[^']*'?)+""")

Values = Iterable[str | tuple[str, str]]
"""Values, or pairs of a value and its help."""


def relations(ctx: typer.Context) -> Values:
    """Return the relations that `features sql --show` prints, with what a row is."""
    return [(name, held.summary) for name, held in _relations(ctx).items()]


def project_relations(ctx: typer.Context) -> Values:
    """Return the relations of the project of the half-typed line."""
    with contextlib.suppress(PhotogenicError, OSError):
        config = load_config(ctx.params.get("config"), project=ctx.params.get("project"))
        if (project := config.project) is not None:
            names = (path.stem for path in sorted((project.folder / "relations").glob("*.sql")))
            return [name for name in names if re.fullmatch(_PLAIN, name)][:MOST]
    return ()


def lineage_names(ctx: typer.Context, incomplete: str) -> Values:
    """Return the relations of the store; after `relation.` its columns."""
    query = "select distinct {} from duckdb_columns() where schema_name = 'main' and {} order by all limit $2"
    holder, dot, _ = incomplete.rpartition(".")
    if dot:
        found = _rows(ctx, query.format("table_name || '.' || column_name", "table_name = $1"), holder, MOST)
    else:
        found = _rows(ctx, query.format("table_name", "starts_with(table_name, $1)"), incomplete, MOST)
    return [name for (name,) in found if re.fullmatch(_PLAIN, name)]


def encoders(ctx: typer.Context, incomplete: str) -> Values:
    """Return the published encoders, and those that the store has embeddings of; after A+ each as a second one."""
    from photogenic.features.encoders.published import PUBLISHED

    first = "".join(incomplete.rpartition("+")[:2])
    stored = [name for name in _stored_encoders(_store(ctx)) if re.fullmatch(_PLAIN, name)]
    named = dict.fromkeys([*PUBLISHED, *stored])
    return [first + name for name in named if f"{name}+" != first]


def stored_encoders(ctx: typer.Context) -> Values:
    """Return the encoders that the store has embeddings of."""
    return [name for name in _stored_encoders(_store(ctx)) if re.fullmatch(_PLAIN, name)]


def features(ctx: typer.Context) -> Values:
    """Return the features of a picture that come with the program, and those that the store has values of."""
    from photogenic.warehouse.catalog import relation

    query = "select relation, definition from facts.own_relations where kind = 'picture' order by all"
    known = {name: relation(name) for name in ("photo_quality", "photo_persons")} | _own(ctx, query)
    return [(name, held.summary) for name, held in known.items()]


def heads() -> Values:
    """Return the kinds of heads, with what they are."""
    from photogenic.models.heads.registry import heads as registered

    return [(one.name, one.summary) for one in registered()]


def targets(ctx: typer.Context, incomplete: str) -> Values:
    """Return the targets, with the meaning of a prediction; after `relation.` its columns."""
    from photogenic.models.data.targets import TARGETS

    if "." in incomplete:
        return relation_columns(ctx, incomplete)
    return [(name, entry.meaning) for name, entry in TARGETS.items()]


def relation_columns(ctx: typer.Context, incomplete: str) -> Values:
    """Return `relation.` for relations of photos and users, or the columns of the one before the point.

    The last one of several names, with commas between them, is completed.
    """
    from photogenic.warehouse.columns import columns_of

    before = "".join(incomplete.rpartition(",")[:2])
    relation, point, _ = incomplete.removeprefix(before).partition(".")
    known = _relations(ctx)
    if point:
        named = columns_of(known[relation]) if relation in known else []
        return [(f"{before}{ref.name}", _plain(ref.comment)) for ref in named]
    return [f"{before}{name}." for name, held in known.items() if columns_of(held)]


def setups() -> Values:
    """Return the sets of photos to learn from."""
    return ("all", "one_face")


def backbones() -> Values:
    """Return the networks that can be fine-tuned."""
    from photogenic.features.encoders.finetuned import TUNABLE

    return TUNABLE


def devices() -> Values:
    """Return the devices for networks."""
    return ("cpu", "cuda")


def recipes() -> Values:
    """Return the training schedules of fine-tuning."""
    from photogenic.models.finetune.recipes import RECIPES

    return RECIPES


def statuses() -> Values:
    """Return the statuses of a download, with their meaning."""
    from photogenic.ingest.download.statuses import STATUSES

    return [("healable", "every status that may pass"), *((name, one.sentence) for name, one in STATUSES.items())]


def weights() -> Values:
    """Return the names of the weight files, with their file names."""
    from photogenic.features.encoders.weight_files import WEIGHTS

    return [(entry.name, entry.file) for entry in WEIGHTS]


def runs(ctx: typer.Context) -> Values:
    """Return the runs of the store, the newest first, with target, head and encoder."""
    found = _rows(
        ctx,
        "select run_id::varchar, concat(target, ' by ', head, ' of ', encoder) from runs"
        " order by created_at desc limit $1",
        MOST,
    )
    return [(run_id, _plain(text)) for run_id, text in found if re.fullmatch(_PLAIN, run_id)]


def training_sets(ctx: typer.Context) -> Values:
    """Return the named training sets of the store, with their newest version."""
    query = (
        "select name, concat('v', max(version), ', ', arg_max(target, version)) from training_sets"
        " where status <> 'removed' group by name order by name limit $1"
    )
    return [(name, _plain(text)) for name, text in _rows(ctx, query, MOST) if re.fullmatch(_PLAIN, name)]


def populations(ctx: typer.Context, incomplete: str) -> Values:
    """Return the populations that a popular photo can be compared with, among them columns of relations."""
    from photogenic.features.search.options import POPULATIONS

    return [*POPULATIONS, *relation_columns(ctx, incomplete)]


def photos(ctx: typer.Context, incomplete: str) -> Values:
    """Return ids of photos that begin with what is typed."""
    return _ids(ctx, "photo_id", "photos", incomplete)


def users(ctx: typer.Context, incomplete: str) -> Values:
    """Return ids of users that begin with what is typed."""
    return _ids(ctx, "user_id", "users", incomplete)


def columns(incomplete: str) -> Values:
    """Return a condition with its last word completed to a column; none inside a text in quotes."""
    from photogenic import sql

    if incomplete.count("'") % 2:
        return ()
    before = re.sub(r"\w+$", "", incomplete)
    listed = sql.read("search/labelled").partition("select")[2].partition("\nfrom")[0]
    return [before + name for name in re.findall(r"(\w+),?$", listed, re.MULTILINE)]


def by_option(name: str) -> Callable[..., Values] | None:
    """Return the completion of an option that a class of options declares, by its name on the command line."""
    known: dict[str, Callable[..., Values]] = {
        "backbone": backbones,
        "encoder": encoders,
        "feature": features,
        "features": relation_columns,
        "weight": relation_columns,
        "where": columns,
        "popular_within": populations,
        "head": heads,
        "device": devices,
        "recipe": recipes,
        "entity": relations,
        "setup": setups,
        "target": targets,
    }
    return known.get(name)


def separate_values(environment: MutableMapping[str, str]) -> None:
    """Write `--store=FOLDER` as two words in the line that bash gives, which has it as three: `--store = FOLDER`."""
    words = _WORD.findall(environment.get("COMP_WORDS", ""))
    place = environment.get("COMP_CWORD", "")
    at = int(place) if place.isdecimal() else 0
    equal_signs = [n for n in range(1, min(at, len(words))) if words[n] == "=" and words[n - 1].startswith("--")]
    if equal_signs:
        environment["COMP_WORDS"] = " ".join(word for n, word in enumerate(words) if n not in equal_signs)
        environment["COMP_CWORD"] = str(at - len(equal_signs))


def _store(ctx: typer.Context) -> Path:
    """Return the folder of the store: of --store on the half-typed line, the environment, a file, else ./store."""
    source = ctx.get_parameter_source("store")
    folder = Path(ctx.params.get("store") or "store")
    if source is None or source.name == "DEFAULT":
        with contextlib.suppress(PhotogenicError):
            folder = load_config(ctx.params.get("config"), project=ctx.params.get("project")).store or folder
    try:
        return folder.expanduser()
    except RuntimeError:  # there is no such user
        return folder


def _relations(ctx: typer.Context) -> dict[str, Relation]:
    """Return the relations of the program, and those of a project that the store has."""
    from photogenic import sql
    from photogenic.warehouse.catalog import relation

    query = "select relation, built_definition from facts.own_relations where built_definition is not null order by all"
    return {name: relation(name) for name in sql.NAMES} | _own(ctx, query) | _of_vectors(ctx)


def _of_vectors(ctx: typer.Context) -> dict[str, Relation]:
    """Return the relations of the vectors of the store."""
    from photogenic.features.vector_sql.extension import VectorSql
    from photogenic.warehouse import Store

    with contextlib.suppress(PhotogenicError, OSError):
        return dict(VectorSql(Store.open(_store(ctx))).relations())
    return {}


def _own(ctx: typer.Context, query: str) -> dict[str, Relation]:
    """Return relations by the names and definitions that a query gives; those that cannot be read are left out."""
    from photogenic.warehouse.catalog import parse

    found = {}
    for name, text in _rows(ctx, query):
        if re.fullmatch(_PLAIN, name):
            with contextlib.suppress(ValueError):
                held = parse(name, text)
                found[name] = replace(held, summary=_plain(held.summary))
    return found


def _stored_encoders(root: Path) -> list[str]:
    """Return the encoders that a store has embeddings of, as their manifests name them."""
    import json

    found = []
    for path in sorted(root.glob("embeddings/*/manifest.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if path.is_file():  # a pipe would never end
                found.append(str(json.loads(path.read_text("utf-8"))["encoder"]))
    return found


def _ids(ctx: typer.Context, column: str, relation: str, incomplete: str) -> list[str]:
    query = (
        f"select {column} from {relation} where starts_with({column}, $1) and regexp_full_match({column}, $2)"
        " order by all limit $3"
    )
    return [str(found) for (found,) in _rows(ctx, query, incomplete, _PLAIN, MOST)]


def _plain(text: str) -> str:
    """Return the help of a value without characters that a shell may give a meaning."""
    return re.sub("[^A-Za-z0-9_@%+.,/:= -]", "?", text)


def _rows(ctx: typer.Context, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a query on the snapshot of the store; no rows if it cannot be read. An older store is not migrated."""
    path = _store(ctx) / "snapshot.duckdb"
    try:
        if not path.is_file():  # a pipe would never end
            return []
        with duckdb.connect(":memory:", config={"threads": 1}) as con:
            con.execute("attach '" + str(path).replace("'", "''") + "' as store (read_only)")
            con.execute("use store")
            return con.execute(query, values).fetchall()
    except (duckdb.Error, OSError, UnicodeError, RuntimeError):
        return []

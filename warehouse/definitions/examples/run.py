"""Run the literal examples of a project's relations, each in a database in memory of its own.

1. Check the files of all relations, and read their examples.
2. For each example, create the relations that it gives, then whatever the tested relation reads and nobody gave: the
   views and relations of sql/, and the project's own ones. What is not given is empty.
3. Compute the tested relation, and compare its rows with those expected.

No store is needed. The database reads no files, and its SQL passes the same check as that of a build.
"""

from __future__ import annotations

import datetime as dt
import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Column, Relation, relation
from photogenic.warehouse.context import Store
from photogenic.warehouse.definitions.contract import check_contract
from photogenic.warehouse.definitions.definition import Definition, check_relation, parameter_values
from photogenic.warehouse.definitions.examples.differences import Difference, compare_rows
from photogenic.warehouse.definitions.examples.files import ARRIVAL, Example, Rows, read_examples
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.duckdb_store.interrupt import interruptible
from photogenic.warehouse.duckdb_store.settings import Settings
from photogenic.warehouse.errors import InputError, PhotogenicError
from photogenic.warehouse.labels.options import LabelOptions, changed_options
from photogenic.warehouse.moment import EVERYTHING, Moment

__all__ = ["ExampleResult", "run_examples"]

_OPTIONS = frozenset(LabelOptions.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """Result of one example.

    Attributes:
        status: passed, failed (other rows came out), or error (nothing came out).
        where: file and line of the example.
        difference: how the rows differ; None: they do not, or nothing came out.
        error: why nothing came out.
    """

    relation: str
    example: str
    status: Literal["passed", "failed", "error"]
    where: str
    seconds: float
    difference: Difference | None = None
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the result as values of JSON."""
        found = self.difference
        rows = {"missing": found.missing, "extra": found.extra} if found is not None else {"missing": (), "extra": ()}
        columns = found.columns if found is not None else ()
        return {
            "relation": self.relation,
            "example": self.example,
            "status": self.status,
            "where": self.where,
            **{name: [dict(zip(columns, row, strict=True)) for row in some] for name, some in rows.items()},
            "changed": [
                {
                    "key": one.key,
                    "values": {name: {"expected": a, "found": b} for name, (a, b) in one.values.items()},
                }
                for one in (found.changed if found is not None else ())
            ],
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


def run_examples(
    store: Store, names: Sequence[str] = (), pictures: Mapping[str, Relation] | None = None
) -> tuple[ExampleResult, ...]:
    """Run the examples of a project; a file of a relation that no build could use is an error without examples too.

    Args:
        store: the store, which need not exist; its project has the examples.
        names: relations to test. Default: all that have examples.
        pictures: relations of picture features; examples give their rows.

    Raises:
        InputError: there is no project, no such relation, or a file with examples cannot be used.
    """
    project = store.project
    if project is None:
        raise InputError(
            "There is no project here.", "a folder that `features init` made", "features test --project DIR"
        )
    bench = _Bench(project, store.database.settings, pictures or {})
    chosen = _chosen(project, names)
    chosen += sorted(name for name in bench.broken if name not in chosen and (not names or name in names))
    todo = [example for name in chosen for example in bench.examples(name)]
    results = []
    with store.progress.stage("examples", len(todo), "examples") as advance:
        for example in todo:
            results.append(bench.run(example))
            advance(1)
    return tuple(results)


def _chosen(project: ProjectDefinitions, names: Sequence[str]) -> list[str]:
    """Return the relations whose examples run."""
    unreadable = project.unreadable_names("examples")
    known = sorted({*project.relations, *project.unreadable_names("relations")})
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InputError(
                f"The project {project.name} has no relation {name}.",
                f"one of {', '.join(known)}" if known else "a file relations/NAME.sql",
                f"features test {near[0]}" if near else "features test",
            )
    for name in sorted({*project.examples, *unreadable}):
        if names and name not in names:
            continue
        file = project.file("examples", name)
        if name in unreadable:
            raise InputError(f"{file}: {unreadable[name]}", "a file with examples")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InputError(
                f"{file} has examples of {name}, which is no relation of the project.",
                f"a file {project.file('relations', name)}",
                f"mv {file} {project.file('examples', near[0])}" if near else f"rm {file}",
            )
    return [name for name in (names or sorted(project.examples)) if name in project.examples]


@dataclass
class _Bench:
    """The checked definitions of a project, for its examples."""

    project: ProjectDefinitions
    settings: Settings
    pictures: Mapping[str, Relation]
    definitions: dict[str, Definition] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {*sql.NAMES, *self.project.relations, *self.pictures}
        with duckdb.connect(":memory:") as con:
            for name, text in self.project.relations.items():
                try:
                    self.definitions[name] = check_relation(con, name, text, known)
                except InputError as error:
                    self.broken[name] = str(error)
        self.broken.update(self.project.unreadable_names("relations"))

    def examples(self, name: str) -> tuple[Example, ...]:
        """Read the examples of a relation; a broken definition is an error of each of them."""
        if name in self.broken:
            return (
                Example(name, "all", str(self.project.file("relations", name)), Moment(), {}, (), Rows(name, (), ())),
            )
        what = self.definitions[name].relation
        file = self.project.file("examples", name)
        try:
            return read_examples(file, self.project.examples[name], what, self.lookup)
        except RecursionError as error:
            raise InputError(f"{file} is nested too deeply.", "tables and their keys", "") from error

    def lookup(self, name: str) -> Relation | None:
        if name in self.definitions:
            return self.definitions[name].relation
        if name in self.pictures:
            return self.pictures[name]
        return relation(name) if name in sql.NAMES else None

    def run(self, example: Example) -> ExampleResult:
        """Run one example."""
        started = time.perf_counter()

        def result(status: Literal["passed", "failed", "error"], **more: Any) -> ExampleResult:
            seconds = time.perf_counter() - started
            return ExampleResult(example.relation, example.name, status, example.where, seconds, **more)

        if example.relation in self.broken:
            return result("error", error=self.broken[example.relation])
        con = duckdb.connect(":memory:", config={"threads": 1})
        try:
            with interruptible(con):
                wanted, found = _Run(con, self, example).rows()
        except PhotogenicError as error:
            return result("error", error=str(error))
        except duckdb.Error as error:
            return result("error", error=str(error).strip())
        finally:
            con.close()
        what, columns = self.definitions[example.relation].relation, [one.name for one in example.expect.columns]
        difference = compare_rows(columns, what.keys, wanted, found, example.tolerance)
        return result("failed", difference=difference) if difference else result("passed")


@dataclass
class _Run:
    """The relations of one example in a database in memory."""

    con: duckdb.DuckDBPyConnection
    bench: _Bench
    example: Example
    made: set[str] = field(default_factory=set)

    def rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return the rows expected and found.

        Raises:
            AuditError: a relation of the project breaks its contract.
            InputError: a parameter has no such value, or a relation that is read is broken.
            duckdb.Error: the computation fails.
        """
        con, example = self.con, self.example
        for setting in (
            "set enable_progress_bar = false",
            "set timezone = 'UTC'",
            f"set memory_limit = '{self.bench.settings.memory_limit}'",
            "set temp_directory = ''",
            "set enable_external_access = false",
            "set lock_configuration = true",
        ):
            con.execute(setting)
        con.execute(sql.schema())
        self._set_clock()
        self.options = changed_options(
            LabelOptions(), {name: value for name, value in example.parameters.items() if name in _OPTIONS}
        )
        for given in example.given:
            self._give(given)
        self._make(example.relation)
        names = ", ".join(column.name for column in example.expect.columns)
        self._table("expected_rows", example.expect.columns, example.expect)
        wanted = con.execute("select * from expected_rows").fetchall()
        return wanted, con.execute(f"select {names} from {example.relation}").fetchall()

    def _set_clock(self) -> None:
        """Set the clock. Without as_of, ages are counted up to the newest arrival of a photo that is given."""
        moment = self.example.moment
        arrivals = [
            row[names.index("ingested_at")]
            for given in self.example.given
            for names in [[column.name for column in given.columns]]
            if given.relation == "photos" and "ingested_at" in names
            for row in given.rows
        ]
        known = [at for at in arrivals if at is not None and at < moment.known_at]
        newest = max(known, default=dt.datetime(1970, 1, 1))
        observed_at = moment.as_of if moment.as_of < EVERYTHING else newest
        values = [moment.as_of, moment.known_at, observed_at]
        self.con.execute("update facts.clock set as_of = $1, known_at = $2, observed_at = $3", values)

    def _give(self, given: Rows) -> None:
        """Create a relation from the rows that are given. Facts that are later than the clock are not seen."""
        what, name = self.bench.lookup(given.relation), given.relation
        assert what is not None
        if name not in ARRIVAL:
            self._table(name, what.columns, given)
            self.made.add(name)
            return
        self._table(f"given_{name}", (*what.columns, Column("ingested_at", "timestamp", "")), given)
        self._make("clock")
        columns = ", ".join(f"given.{column.name}" for column in what.columns)
        self.con.execute(
            f"create view {name} as select {columns} from given_{name} as given cross join clock"
            f" where coalesce(given.{ARRIVAL[name]} < clock.as_of, true)"
            " and coalesce(given.ingested_at < clock.known_at, true)"
        )
        self.made.add(name)

    def _table(self, name: str, columns: Sequence[Column], given: Rows) -> None:
        self.con.execute(f"create table {name} ({', '.join(f'{column.name} {column.type}' for column in columns)})")
        if given.rows:
            values = ", ".join(f"unnest(cast(${n} as {c.type}[]))" for n, c in enumerate(given.columns, 1))
            names = ", ".join(column.name for column in given.columns)
            lists = [list(values) for values in zip(*given.rows, strict=True)]
            self.con.execute(f"insert into {name} ({names}) select {values}", lists)

    def _make(self, name: str) -> None:
        """Create a relation that was not given, and before it what it reads."""
        if name in self.made or name.startswith("facts."):
            return
        self.made.add(name)
        if name in self.bench.broken:
            raise InputError(
                f"{name} is read, and cannot be used: {self.bench.broken[name]}", f"rows of {name} in the example"
            )
        what = self.bench.lookup(name)
        if what is None:
            return  # `reads: none`
        for read in what.reads:
            self._make(read)
        if name in self.bench.definitions:
            definition = self.bench.definitions[name]
            self.con.execute(f"create table {name} as {definition.query}", self._values(definition) or None)
            check_contract(self.con, definition.relation)
        elif name in self.bench.pictures:
            self._table(name, what.columns, Rows(name, what.columns, ()))
        elif name in sql.RELATIONS:
            values = {parameter: getattr(self.options, parameter) for parameter in what.parameters}
            self.con.execute(f"create table {name} as {what.text}", values or None)
        else:
            self.con.execute(f"create view {name} as {what.text}")

    def _values(self, definition: Definition) -> dict[str, Any]:
        """Return the parameters of a relation: those of the example are for the tested one, others have defaults."""
        own = definition.name == self.example.relation
        given = {name: value for name, value in self.example.parameters.items() if name not in _OPTIONS} if own else {}
        return parameter_values(definition, given, self.options)

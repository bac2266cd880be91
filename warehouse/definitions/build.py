"""Bring a user's own relations up to date, after those of sql/.

1. Take the definitions: of the project, which replace the store's copy, else of that copy.
2. Check each file (definition.py), and sort the relations by what they read.
3. Keep a relation whose definition, parameters and inputs are unchanged; compute the others.
4. Compare its columns with its contract, and run the own audits that read it.

Each relation is one transaction. One that fails keeps its former table, is recorded with the reason, and does not
stop the others: those that read it are computed from its former table, or fail too if there is none.

A build runs this twice: after the labels, and at its end, when faces, picture features and neighbors are new.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Catalog, Relation, in_order, parse
from photogenic.warehouse.definitions.contract import check_contract
from photogenic.warehouse.definitions.definition import (
    Definition,
    check_audit,
    check_relation,
    parameter_values,
    values_json,
)
from photogenic.warehouse.definitions.dependencies import circles
from photogenic.warehouse.definitions.failures import TIME_LIMIT_S, in_words, is_of_relation, limited
from photogenic.warehouse.definitions.on_spark import compute_on_spark, query_on_spark
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.definitions.stored import (
    StoredRelation,
    describe,
    read_relations,
    save_definitions,
    wanted_audits,
    wanted_relations,
)
from photogenic.warehouse.definitions.updates import LogChanges, unlimited_logs, update_query
from photogenic.warehouse.errors import AuditError, InputError, PhotogenicError
from photogenic.warehouse.labels.audits import Audit, rows_found
from photogenic.warehouse.labels.compute import Engine, RelationBuilt
from photogenic.warehouse.labels.digests import Digests
from photogenic.warehouse.labels.fingerprints import State, checksum, digest_of, read_states, write_states
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import Moment

__all__ = ["OwnComputation", "OwnReport"]


@dataclass(frozen=True, slots=True)
class OwnReport:
    """Result of one pass over the own relations.

    Attributes:
        relations: the relations in build order; `failed` ones have their reason.
        audits: own audits that ran and found rows, or could not run: name -> why.
        dropped: relations that the project no longer defines.
        stale_audits: audits that a dry pass would run.
    """

    relations: tuple[RelationBuilt, ...] = ()
    audits: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    stale_audits: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any relation was computed or dropped."""
        return bool(self.dropped) or any(one.action in ("computed", "updated") for one in self.relations)

    @property
    def stale(self) -> tuple[str, ...]:
        """What a dry pass found to be stale: relations, and audits as `audit NAME`."""
        return (
            *(one.name for one in self.relations if one.action == "stale"),
            *(f"audit {name}" for name in self.stale_audits),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must know: what failed, and what was dropped."""
        failed = [one for one in self.relations if one.action == "failed"]
        notes = [f"The relation {one.name} failed: {(one.error or '').splitlines()[0]}" for one in failed]
        notes += [f"The audit {name} failed: {why.splitlines()[0]}" for name, why in self.audits.items()]
        notes += [f"The relation {name} was dropped: the project no longer defines it." for name in self.dropped]
        return tuple(notes)


@dataclass
class OwnComputation:
    """One pass over the own relations.

    Attributes:
        con: a writing connection outside a transaction, or a reading one on the snapshot.
        project: the project of the build; None: the store's copy counts.
        moment, options: those of the labels that are there.
        rehearsal: whether to leave the store unchanged.
        anew: whether to compute every relation, stale or not.
        engine: engine that computes in place of DuckDB; None: DuckDB.
        limit_s: seconds after which the computation of one relation is stopped.
        contents: checksums of the relations of sql/; None: those that the store records.
        retry: whether to compute a relation again that failed with the same inputs.
        dry: whether to find out only which relations are stale; a rehearsal too.
        considered: after `run`, relation -> its definition, the values of its parameters, and its new inputs.
    """

    con: duckdb.DuckDBPyConnection
    project: ProjectDefinitions | None
    moment: Moment
    options: LabelOptions
    rehearsal: bool = False
    anew: bool = False
    engine: Engine | None = None
    limit_s: float = TIME_LIMIT_S
    contents: Mapping[str, str] | None = None
    retry: bool = True
    dry: bool = False
    considered: dict[str, tuple[Relation, dict[str, Any], State]] = field(default_factory=dict)
    _built: dict[str, RelationBuilt] = field(default_factory=dict)
    _audit_results: dict[str, str | None] = field(default_factory=dict)
    _stale_audits: list[str] = field(default_factory=list)

    def run(self) -> OwnReport:
        """Bring the own relations up to date, and run their audits."""
        held = read_relations(self.con)
        if self.project is not None and not self.rehearsal:
            save_definitions(self.con, self.project)
        self._wanted, self._audits = (
            wanted_relations(self.con, self.project),
            wanted_audits(self.con, self.project),
        )
        dropped = tuple(name for name in held if name not in self._wanted)
        if not self._wanted and not self._audits:
            return OwnReport(dropped=dropped)
        self._states, self._changes = read_states(self.con), LogChanges(self.con)
        definitions, broken = self._checked()
        views = {name: parse(name, one.definition) for name, one in self._wanted.items() if one.kind != "sql"}
        own = {name: definition.relation for name, definition in definitions.items()} | views
        kinds = {name: self._wanted[name].kind for name in own}
        self._catalog = Catalog({name: own[name] for name in in_order(own)}, kinds)
        self._digests = Digests(self.con, self.moment, self._catalog, self.engine)
        if self.engine is not None:
            self.engine.use(self._catalog)
        contents = self.contents or {name: state.checksum for name, state in self._states.items()}
        for name in sql.RELATIONS:
            if name in contents:
                self._digests.set(name, contents[name])
        for name, why in broken.items():
            self._fail(name, why, time.perf_counter())
        self._due = self._checked_audits()
        for name in self._catalog.own:
            if name in definitions:
                self._bring_up_to_date(definitions[name])
        self._run_other_audits()
        if self.engine is not None:
            self.engine.finish()
        order = (*self._catalog.own, *sorted(broken))
        return OwnReport(
            tuple(self._built[name] for name in order if name in self._built),
            {name: why for name, why in sorted(self._audit_results.items()) if why is not None},
            dropped,
            tuple(self._stale_audits),
        )

    def _checked(self) -> tuple[dict[str, Definition], dict[str, str]]:
        """Return the definitions that can be used, and why others cannot."""
        known = {*sql.NAMES, *self._wanted}
        definitions, broken = dict[str, Definition](), dict[str, str]()
        if self.project is not None:
            broken |= self.project.unreadable_names("relations")
        for name, one in self._wanted.items():
            if one.kind == "sql" and name not in broken:
                try:
                    definitions[name] = check_relation(self.con, name, one.definition, known)
                except InputError as error:
                    broken[name] = describe(error)
        for circle in circles({name: definition.relation for name, definition in definitions.items()}):
            for name in circle:
                del definitions[name]
                why = InputError(
                    f"relations/{name}.sql needs itself: {' reads '.join((*circle, circle[0]))}.",
                    "relations that do not need each other",
                    f"change what relations/{name}.sql reads",
                )
                broken[name] = describe(why)
        return definitions, broken

    def _bring_up_to_date(self, definition: Definition) -> None:
        name, started = definition.name, time.perf_counter()
        wanted, former = self._wanted[name], self._states.get(name)
        if (missing := self._missing(definition.relation.reads)) is not None:
            if self._catalog.kinds.get(missing) == "picture" or self._is_pending(missing):
                self._built[name] = RelationBuilt(name, "pending", 0, "", 0.0, f"{missing} is not computed yet")
            else:
                self._fail(name, f"{name} reads {missing}, which failed and has no former rows.", started)
            return
        try:
            values = parameter_values(definition, wanted.given(), self.options)
        except InputError as error:
            self._fail(name, describe(error), started)
            return
        inputs = {source: self._digests.of(source) for source in definition.relation.reads if source != "none"}
        digest = digest_of(definition.relation, values, inputs)
        self.considered[name] = definition.relation, values, State(name, digest, 0, "", inputs)
        if former is not None and former.digest == digest and not self.anew and self._exists(name):
            self._digests.set(name, former.checksum)
            self._built[name] = RelationBuilt(
                name, "kept", former.n_rows, former.checksum, time.perf_counter() - started
            )
            if self.engine is not None:
                self.engine.reuse(former)
            if wanted.status != "ok" and not self.rehearsal:
                self._note(wanted, "ok", None, values)
            return
        if not self.retry and wanted.status == "failed" and wanted.failed_digest == digest and not self.anew:
            self._fail(name, wanted.error or "", started, digest)
            return
        if self.dry:
            self._digests.set(name, digest)
            self._built[name] = RelationBuilt(name, "stale", 0, "", 0.0)
            return
        self._compute(definition, wanted, values, State(name, digest, 0, "", inputs))

    def _compute(self, definition: Definition, wanted: StoredRelation, values: dict[str, Any], new: State) -> None:
        """Compute one relation and run its audits, in one transaction."""
        name, started = definition.name, time.perf_counter()
        passed: list[tuple[Audit, str]] = []
        failed: tuple[Audit, str] | None = None
        try:
            with self._transaction(), limited(self.con, self.limit_s, name):
                action = self._create(definition, values, new)
                check_contract(self.con, definition.relation)
                n_rows, content = checksum(self.con, name)
                self._digests.set(name, content)
                for audit in self._due_for(name):
                    failed = audit, self._audit_digest(audit)
                    self._audit(audit)
                    passed.append(failed)
                failed = None
                if not self.rehearsal:
                    write_states(self.con, [replace(new, n_rows=n_rows, checksum=content)])
                    self._write(wanted, "ok", None, values)
                    for audit, digest in passed:
                        self._write_audit(audit.name, None, digest)
        except (duckdb.Error, PhotogenicError) as error:
            if not is_of_relation(error):
                raise
            self._changes = LogChanges(self.con)  # the transaction took back the temporary tables
            if failed is not None and isinstance(error, AuditError):
                self._audit_failed(failed[0].name, describe(error), None)
            self._fail(name, describe(in_words(error, f"relations/{name}.sql")), started, new.digest)
            return
        for audit, _ in passed:
            self._audit_results[audit.name] = None
            self._due.pop(audit.name)
        self._built[name] = RelationBuilt(name, action, n_rows, content, time.perf_counter() - started)

    def _create(self, definition: Definition, values: dict[str, Any], new: State) -> str:
        """Compute the rows, and return how: `computed` from all facts, or `updated`."""
        if self.engine is not None:
            what = replace(definition.relation, text=definition.query)
            compute_on_spark(self.engine, self.con, what, values, new.digest)
            return "computed"
        table = "temp table" if self.rehearsal else "table"
        former = self._states.get(definition.name)
        if definition.sums is not None and former is not None and not (self.anew or self.rehearsal):
            query = update_query(self._changes, definition, values, former, new.inputs)
            if query is not None:
                self.con.execute(f"create or replace table {definition.name} as {query}")
                return "updated"
        reads = () if self.moment.is_limited else definition.relation.reads
        with unlimited_logs(self.con, reads):
            self.con.execute(f"create or replace {table} {definition.name} as {definition.query}", values or None)
        return "computed"

    def _missing(self, reads: Collection[str]) -> str | None:
        """Return a relation that does not exist in the store; None: all exist."""
        return next((name for name in reads if name != "none" and not self._exists(name)), None)

    def _exists(self, name: str) -> bool:
        query = """
            select 1 from system.main.duckdb_tables() where table_name = $1 and schema_name = 'main'
            union all
            select 1 from system.main.duckdb_views() where view_name = $1 and schema_name = 'main' and not internal
        """
        return bool(self.con.execute(query, [name]).fetchall())

    def _is_pending(self, name: str) -> bool:
        return name in self._built and self._built[name].action == "pending"

    def _fail(self, name: str, why: str, started: float, digest: str | None = None) -> None:
        """Record a failure. The former rows stay, and other relations may read them."""
        former = self._states.get(name)
        if former is not None:
            self._digests.set(name, former.checksum)
        n_rows, content = (former.n_rows, former.checksum) if former is not None else (0, "")
        self._built[name] = RelationBuilt(name, "failed", n_rows, content, time.perf_counter() - started, why)
        wanted = self._wanted[name]
        if not self.rehearsal and (wanted.status, wanted.error, wanted.failed_digest) != ("failed", why, digest):
            self._note(wanted, "failed", why, None, digest)

    def _checked_audits(self) -> dict[str, Audit]:
        """Return the audits that can run, and record why others cannot."""
        known = {*sql.NAMES, *self._catalog.own}
        unreadable = self.project.unreadable_names("audits") if self.project is not None else {}
        due = {}
        for name, one in self._audits.items():
            try:
                if name in unreadable:
                    self._audit_failed(name, unreadable[name], None)
                else:
                    due[name] = check_audit(self.con, name, one.definition, known)
            except InputError as error:
                self._audit_failed(name, describe(error), None)
        return due

    def _due_for(self, name: str) -> list[Audit]:
        """Return the audits of a relation whose other own relations are done."""
        done = {*self._built, name, *(view for view, kind in self._catalog.kinds.items() if kind != "sql")}
        return [
            audit
            for audit in self._due.values()
            if name in audit.reads
            and all(read in done for read in audit.reads if read in self._catalog.own)
            and self._missing(audit.reads) is None
        ]

    def _run_other_audits(self) -> None:
        """Run the audits of relations that were kept, or are not own ones, if what they read changed."""
        for name, audit in self._due.items():
            if name in self._audit_results:
                continue
            if self._missing(audit.reads) is not None:
                continue
            digest, held = self._audit_digest(audit), self._audits[name]
            if self.dry and held.digest != digest:
                self._stale_audits.append(name)
                continue
            if held.digest == digest:
                if held.status == "failed":
                    self._audit_results[name] = held.error
                continue
            try:
                with self._transaction(), limited(self.con, self.limit_s, name):
                    self._audit(audit)
                    if not self.rehearsal:
                        self._write_audit(name, None, digest)
                self._audit_results[name] = None
            except (duckdb.Error, PhotogenicError) as error:
                if not is_of_relation(error):
                    raise
                self._audit_failed(name, describe(in_words(error, f"audits/{name}.sql")), digest)

    def _audit(self, audit: Audit) -> None:
        """Run an audit: where the facts are, if it reads views of them.

        Raises:
            AuditError: it found rows.
        """
        views = {*sql.VIEWS, *sql.VIEWS_OF_LABELS}
        ask = None
        if self.engine is not None and not views.isdisjoint(audit.reads):
            ask = functools.partial(query_on_spark, self.engine, self.con)
        rows_found(self.con, audit, ask)

    def _audit_digest(self, audit: Audit) -> str:
        parts = [audit.text, {read: self._digests.of(read) for read in audit.reads if read != "none"}]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _audit_failed(self, name: str, why: str, digest: str | None) -> None:
        self._audit_results[name] = why
        held = self._audits[name]
        if not self.rehearsal and (held.status, held.error, held.digest) != ("failed", why, digest):
            with self._transaction():
                self._write_audit(name, why, digest)

    def _note(
        self,
        wanted: StoredRelation,
        status: str,
        error: str | None,
        values: dict[str, Any] | None,
        digest: str | None = None,
    ) -> None:
        with self._transaction():
            self._write(wanted, status, error, values, digest)

    def _write(
        self,
        wanted: StoredRelation,
        status: str,
        error: str | None,
        values: dict[str, Any] | None,
        digest: str | None = None,
    ) -> None:
        """Record what became of a relation, in the present transaction."""
        row: list[Any] = [wanted.name, status, error, _now(), digest]
        self.con.execute(
            "update facts.own_relations set status = $2, error = $3, tried_at = $4, failed_digest = $5"
            " where relation = $1",
            row,
        )
        if values is not None:
            self.con.execute(
                "update facts.own_relations set built_definition = definition, built_parameters = $2"
                " where relation = $1",
                [wanted.name, values_json(values)],
            )

    def _write_audit(self, name: str, error: str | None, digest: str | None) -> None:
        self.con.execute(
            "update facts.own_audits set status = $2, error = $3, tried_at = $4, digest = $5 where audit = $1",
            [name, "ok" if error is None else "failed", error, _now(), digest],
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Context manager of one transaction; a rehearsal writes temporary tables only, and needs none."""
        if self.rehearsal:
            yield
            return
        self.con.begin()
        try:
            yield
        except BaseException:
            self.con.rollback()
            raise
        self.con.commit()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)

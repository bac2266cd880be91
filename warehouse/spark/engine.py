"""Compute relations with Spark from facts in Parquet: the SQL of sql/ is translated, the results go into DuckDB.

    FACTS/swipes, FACTS/users, ...        input, see export.py
    FACTS/relations/NAME/DIGEST/          output: one folder per content, never overwritten by another content
    FACTS/relations/latest.json           name -> folder, as of the last build

A relation has at most as many rows as there are photos or users, so DuckDB holds all of them, and readers of
labels find them in the snapshot as usual. Spark reads swipes only from FACTS. For the small tables the store
takes precedence: if it has rows, and those in FACTS differ, the store's rows are sent to Spark.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Callable
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb, pa, pyspark, sqlglot
from photogenic.warehouse.catalog import OURS, Catalog, Relation
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.filesystems import filesystem_of, local_path
from photogenic.warehouse.labels.fingerprints import Mark, State, mark_of, mark_query
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.export import TABLES, UNFINISHED, columns_of
from photogenic.warehouse.spark.session import Cluster, run_on_spark, session

__all__ = ["SparkEngine"]

_KINDS = {"varchar": "string", "integer": "int", "timestamp": "timestamp_ntz"}
_UNDATED = "faces"
_ABSENT = {"batch": "0", "event_id": "null", "updated_at": "null", "deleted_at": "null"}
"""Value of a column that an export of an older version lacks. A log of swipes without times of arrival is known from
the moment of each swipe."""


class SparkEngine:
    """Spark as the engine of one label build.

    Args:
        cluster: the master, and the address of the facts.
        tombstones: erased people, whose facts are filtered out.
        note: callback for warnings.

    Raises:
        InputError: the master does not answer, or there are no facts.
        MissingPartError: pyspark or Java is absent.
    """

    def __init__(self, cluster: Cluster, tombstones: Tombstones, note: Callable[[str], None]) -> None:
        if cluster.facts is None:
            raise InputError(
                "No facts are given from which Spark computes labels.",
                "the folder or address that `features export` wrote",
                "features export FOLDER, then features build --engine spark --facts FOLDER",
            )
        self.facts = cluster.facts.rstrip("/")
        self._cluster, self._tombstones, self._note = cluster, tombstones, note
        self._refuse_half()
        self._spark = session(cluster)
        self._catalog = OURS
        self._ready: set[str] = set()
        self._kept: dict[str, State] = {}
        self._folders: dict[str, str] = {}

    def begin(self, con: duckdb.DuckDBPyConnection) -> None:
        """Read the facts, and load the tables into the store that are empty there."""
        for table in sorted(TABLES, key="swipes".__ne__):  # a mistyped address fails before any table is loaded
            self._ready_facts(con, table)

    def use(self, catalog: Catalog) -> None:
        """Compute own relations of this catalog from now on."""
        self._catalog = catalog

    def mark(self, con: duckdb.DuckDBPyConnection, table: str, moment: Moment) -> Mark:
        """Return the mark of a table: for swipes that of the Parquet files, else that of the store, which is equal."""
        if table != "facts.swipes":
            return mark_of(con, table, moment)
        query = mark_query(table, moment).replace("facts.", "facts_").replace("as timestamp)", "as timestamp_ntz)")
        ((n, until, batch),) = self._rows(query)
        return Mark(n, until or dt.datetime(1970, 1, 1), batch, moment)

    def reuse(self, former: State) -> None:
        """Reuse the former rows of an unchanged relation, in case another one reads it."""
        self._kept[former.relation] = former
        self._folders[former.relation] = self._folder(former.relation, former.digest)

    def compute(self, con: duckdb.DuckDBPyConnection, what: Relation, parameters: dict[str, Any], digest: str) -> None:
        """Compute a relation, write it as Parquet, and load it into the DuckDB table of its name."""
        for source in what.reads:
            self._provide(con, source)
        folder = self._folder(what.name, digest)
        values = {name: str(v) if isinstance(v, dt.datetime) else v for name, v in parameters.items()}
        from photogenic.warehouse.spark.sql_translate import to_spark

        text = to_spark(what.text)
        self._try(lambda: self._spark.sql(text, args=values or None).write.mode("overwrite").parquet(folder))
        self._view(what.name, self._read(folder))
        self._folders[what.name] = folder
        columns = ", ".join(f"cast({column.name} as {column.type}) as {column.name}" for column in what.columns)
        self._load(con, folder, f"create or replace table {what.name} as select {columns}")

    def query(self, con: duckdb.DuckDBPyConnection, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query over facts and relations in DuckDB's SQL; return column names and rows, which must be few."""
        from photogenic.warehouse.spark.sql_translate import to_spark, tree_of

        for table in tree_of(text).find_all(_table()):
            if table.db or table.name in self._catalog.names:
                self._provide(con, f"{table.db}.{table.name}" if table.db else table.name)
        frame = self._try(lambda: self._spark.sql(to_spark(text)))
        return frame.columns, [tuple(row) for row in self._try(frame.collect)]

    def finish(self) -> None:
        """Write the file that lists the current folder of each relation."""
        files, root = filesystem_of(self.facts)
        data = json.dumps(self._folders, indent=1).encode()
        files.create_dir(f"{root}/relations", recursive=True)
        with files.open_output_stream(f"{root}/relations/latest.json") as file:
            file.write(data)

    def _provide(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Create a view of that name in Spark, from facts, the SQL of a view, or a relation that was kept."""
        from photogenic.warehouse.spark.sql_translate import to_spark

        if name in self._ready:
            return
        if name == "clock":
            columns = [(column, "timestamp") for column in ("as_of", "known_at", "observed_at")]
            self._view(name, self._sent(con, "from clock", columns))
        elif name.startswith("facts."):
            self._ready_facts(con, name.removeprefix("facts."))
        elif name in (*sql.VIEWS, *sql.VIEWS_OF_LABELS):
            what = self._catalog.relation(name)
            for source in what.reads:
                self._provide(con, source)
            self._view(name, self._try(lambda: self._computed_view(name, to_spark(what.text))))
        else:
            self._view(name, self._held(con, name))

    def _computed_view(self, name: str, text: str) -> pyspark.sql.DataFrame:
        """Return the rows of a view. Those of the small ones are computed once, and sent to Spark again.

        Spark 4 fails to plan a union of users and deleted_users, which read the same rows. A checkpoint on the
        workers would be lost with a worker.
        """
        frame = self._spark.sql(text)
        return frame if name in ("swipes", "photo_swipes") else self._framed(frame.toArrow(), frame.schema)

    def _held(self, con: duckdb.DuckDBPyConnection, name: str) -> pyspark.sql.DataFrame:
        """Return a relation of an earlier build, from its Parquet files if they are complete, else from DuckDB."""
        if name in self._kept:
            try:
                frame = self._read(self._folders[name])
                if frame.count() == self._kept[name].n_rows:
                    return frame
            except pyspark.errors.PySparkException:
                pass
        return self._sent(
            con, f"from {name}", [(column.name, column.type) for column in self._catalog.relation(name).columns]
        )

    def _ready_facts(self, con: duckdb.DuckDBPyConnection, table: str) -> None:
        """Create the view `facts_TABLE`; if the table of the store is empty, load its rows too."""
        if f"facts.{table}" in self._ready:
            return
        columns, given = columns_of(con, table), self._given(con, table)
        if given is None and table == "swipes":
            raise InputError(
                f"There are no swipes at {self.facts}.",
                f"Parquet in {self.facts}/swipes, as `features export` writes it",
                f"features export {self.facts}",
            )
        if table != "swipes":
            ((n_held,),) = con.execute(f"select count(*) from facts.{table}").fetchall()
            if not n_held and given is not None:
                arrow = self._try(given.toArrow)  # noqa: F841
                con.execute(f"insert into facts.{table} select * from arrow")
            elif given is None or not self._agree(con, table, given):
                if given is not None and table != _UNDATED:
                    self._note(f"{table} at {self.facts} differ from those of the store, which were sent to Spark.")
                given = self._sent(con, f"from facts.{table}", columns)
        assert given is not None
        self._view(f"facts_{table}", given)
        self._ready.add(f"facts.{table}")

    def _given(self, con: duckdb.DuckDBPyConnection, table: str) -> pyspark.sql.DataFrame | None:
        """Return a base table in FACTS without erased people; None: it does not exist."""
        path = local_path(self.facts)
        if path is not None and not (path / table).is_dir():
            return None
        try:
            found = self._read(f"{_address(self.facts)}/{table}")
        except pyspark.errors.AnalysisException as error:
            if error.getCondition() in ("PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"):
                return None
            raise
        columns = columns_of(con, table)
        absent = [name for name, _ in columns if name not in found.columns]
        assumed = _ABSENT | ({"ingested_at": "swiped_at"} if table == "swipes" else {})
        found = found.selectExpr("*", *(f"{assumed[name]} as {name}" for name in absent if name in assumed))
        absent = [name for name in absent if name not in assumed]
        if absent:
            raise InputError(
                f"{table} at {self.facts} lack {', '.join(absent)}; there are {', '.join(found.columns)}.",
                f"the columns {', '.join(name for name, _ in columns)}",
                f"features export {self.facts}",
            )
        frame = found.selectExpr(*(f"cast({name} as {_spark_type(kind)}) as {name}" for name, kind in columns))
        return self._without_erased(frame)

    def _without_erased(self, frame: pyspark.sql.DataFrame) -> pyspark.sql.DataFrame:
        """Filter out rows of erased people."""
        if not len(self._tombstones):
            return frame

        functions = pyspark.sql.functions
        kinds = {"user_id": "user", "sender_id": "user", "recipient_id": "user", "photo_id": "photo"}
        for salt, hashes in self._tombstones.salted():
            gone = functions.broadcast(self._spark.createDataFrame(pa.table({"hash": sorted(hashes)})))
            for column in kinds.keys() & set(frame.columns):
                salted = functions.concat(functions.lit(f"{salt}{kinds[column]}:"), functions.col(column))
                frame = frame.join(gone, functions.sha2(salted, 256) == functions.col("hash"), "left_anti")
        return frame

    def _agree(self, con: duckdb.DuckDBPyConnection, table: str, given: pyspark.sql.DataFrame) -> bool:
        """Whether Parquet has the same number of rows and newest arrival as the store; for faces the store counts."""
        if table == _UNDATED:
            return False
        rows = self._try(given.selectExpr("count(*)", "max(ingested_at)").collect)
        return bool(tuple(rows[0]) == con.execute(f"select count(*), max(ingested_at) from facts.{table}").fetchone())

    def _sent(
        self, con: duckdb.DuckDBPyConnection, query: str, columns: list[tuple[str, str]]
    ) -> pyspark.sql.DataFrame:
        """Send the rows of a DuckDB query to Spark."""
        con.execute("select null").fetchall()  # close the pending result of a query that was not read to its end

        schema = ", ".join(f"{name} {_spark_type(kind)}" for name, kind in columns)
        return self._framed(con.sql(query).to_arrow_table(), schema)

    def _framed(self, rows: pa.Table, schema: Any) -> pyspark.sql.DataFrame:
        """Send rows to Spark."""
        if not rows.num_rows:  # pyspark needs a chunk of every column, and an empty table may have none
            rows = pa.table([pa.array([], field.type) for field in rows.schema], schema=rows.schema)
        frame: pyspark.sql.DataFrame = self._try(lambda: self._spark.createDataFrame(rows, schema=schema))
        return frame

    def _load(self, con: duckdb.DuckDBPyConnection, folder: str, statement: str) -> None:
        """Run `statement` on the written files: DuckDB reads them itself if it can."""
        path = local_path(folder)
        if path is not None and (self._cluster.is_here or any(path.glob("*.parquet"))):
            parts = sorted(str(part) for part in path.glob("*.parquet"))  # by number: the order of the relation
            con.execute(f"{statement} from read_parquet($parts)", {"parts": parts})
            return
        arrow = self._try(self._read(folder).toArrow)  # noqa: F841  DuckDB finds it by its name
        con.execute(f"{statement} from arrow")

    def _folder(self, name: str, digest: str) -> str:
        return f"{_address(self.facts)}/relations/{name}/{digest[:16]}"

    def _read(self, folder: str) -> pyspark.sql.DataFrame:
        return self._spark.read.parquet(folder)

    def _view(self, name: str, frame: pyspark.sql.DataFrame) -> None:
        frame.createOrReplaceTempView(name)
        self._ready.add(name)

    def _rows(self, query: str) -> list[Any]:
        rows: list[Any] = self._try(lambda: self._spark.sql(query).collect())
        return rows

    def _try(self, work: Callable[[], Any]) -> Any:
        return run_on_spark(self._cluster, work)

    def _refuse_half(self) -> None:
        path = local_path(self.facts)
        if path is not None and (path / UNFINISHED).exists():
            what = f"An export to {self.facts} was interrupted."
            raise InputError(what, "a complete export", f"features export {self.facts}")


def _address(uri: str) -> str:
    """Return the address as Spark needs it: it would search a bare path on the file system of the cluster."""
    path = local_path(uri)
    return uri if path is None else path.as_uri()


def _spark_type(kind: str) -> str:
    """Return Spark's name of a type: `varchar[]` is array<string>."""
    if kind.endswith("[]"):
        return f"array<{_spark_type(kind[:-2])}>"
    return _KINDS.get(kind, kind)


@functools.cache
def _table() -> Any:

    return sqlglot.exp.Table

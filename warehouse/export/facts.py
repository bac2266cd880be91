"""The export of the facts, whose files have the layout that Spark reads (warehouse/spark/export.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from photogenic import sql
from photogenic.warehouse import Store
from photogenic.warehouse.errors import ConflictError, InputError
from photogenic.warehouse.export.manifest import MANIFEST
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.writer import Exported
from photogenic.warehouse.filesystems import local_path, open_location
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.export import export

__all__ = ["export_facts", "refuse_mixture", "require_address"]


def require_address(what: str | Path | Sequence[str] | None, others: Mapping[str, object]) -> str:
    """Return the address of an export that names no other one, which is one of the facts.

    Raises:
        ConflictError: more is given than an address.
        InputError: what is named is a relation.
    """
    names = [str(what)] if isinstance(what, str | Path) else list(what or ())
    given = [name for name, value in others.items() if value]
    if len(names) != 1 or given:
        raise ConflictError(
            f"{given[0] if given else ', '.join(names) or 'Nothing'} is given, and no address.",
            "--to with a folder or an address",
            "features export photo_labels --to FOLDER",
        )
    (uri,) = names
    path = local_path(uri)
    is_relation = uri in sql.NAMES or uri.startswith(("training-set:", "vectors_")) or uri == "all"
    if is_relation and (path is None or not path.exists()):
        raise InputError(
            f"{uri} is given without an address.",
            f"--to with the address for {uri}; or, for the facts in a folder of this name, ./{uri}",
            f"features export {uri} --to FOLDER",
        )
    return uri


def refuse_mixture(names: Sequence[str], query: str | None, options: ExportOptions, moment: Moment) -> None:
    """Refuse the facts together with anything else: their layout has a folder of its own.

    Raises:
        ConflictError: there is something else.
    """
    plain = ExportOptions()
    if len(names) > 1 or query is not None or moment.is_limited or options not in (plain, _as_parquet()):
        raise ConflictError(
            "facts has the layout that Spark reads, as it is now.",
            "facts alone, without other options; or users, photos, swipes and other relations",
            "features export facts --to FOLDER",
        )


def _as_parquet() -> ExportOptions:
    return ExportOptions(format="parquet")


def export_facts(store: Store, uri: str) -> list[Exported]:
    """Write the facts as Parquet, in place of an earlier export of them to the same address.

    Raises:
        InputError: the address cannot be written, or has relations of another export.
        StoreError: there is no store.
    """
    if (open_location(uri) / MANIFEST).find() is not None:
        raise InputError(
            f"{uri} has relations of another export.",
            "a folder of its own for the facts",
            f"--to {uri.rstrip('/')}-facts",
        )
    return [
        Exported(one.table, one.n_rows, one.n_files, one.bytes, "written", uri, one.n_rows)
        for one in export(store, uri)
    ]

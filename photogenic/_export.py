"""The method of `FeatureStore` that exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from photogenic._queries import Queries
from photogenic._training_sets import TrainingSets

if TYPE_CHECKING:
    from photogenic.warehouse.export.options import ExportArguments, ExportOptions
    from photogenic.warehouse.export.writer import Exported
    from photogenic.warehouse.moment import Instant

__all__ = ["Exports"]


class Exports(Queries, TrainingSets):
    """Base class of `FeatureStore`, which opens the store."""

    def export(
        self,
        what: str | Path | Sequence[str] | None = None,
        options: ExportOptions | None = None,
        /,
        *,
        to: str | Path | None = None,
        query: str | None = None,
        params: Mapping[str, Any] | None = None,
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        **changes: Unpack[ExportArguments],
    ) -> list[Exported]:
        """Write relations, vectors, training sets or the result of a query to a folder, an address or a database.

        Args:
            what: relations, of which `vectors_ENCODER` is one; `all`, every relation; `training-set:NAME` or
                `training-set:NAME:VERSION`; `facts`, the ingested rows as Spark reads them. Without `to`, the folder or
                address that the facts are written to.
            options: how rows are written; None: the defaults.
            to: folder, address such as s3://bucket/folder, or postgresql://HOST/DATABASE.
            query: one SELECT whose result is exported, beside or instead of `what`.
            params: values of its parameters, by name.
            as_of: only what had happened before this instant. See `sql`.
            known_at: only what had arrived before this instant. See `sql`.
            changes: fields of `options` to replace. See `warehouse.export.options.ExportOptions`.

        Raises:
            PhotogenicError: see `warehouse.export.run.export`.
        """
        from photogenic.models.training_sets.exports import sources
        from photogenic.models.training_sets.feast import feature_views, refuse_for_feast
        from photogenic.warehouse.export.facts import export_facts, refuse_mixture, require_address
        from photogenic.warehouse.export.options import ExportOptions
        from photogenic.warehouse.export.run import export
        from photogenic.warehouse.moment import Moment

        if to is None:
            others = {"query": query, "options": options, "as_of": as_of, "known_at": known_at, **changes}
            return export_facts(self.store, require_address(what, others))
        options = replace(options or ExportOptions(), **changes)
        names = [str(what)] if isinstance(what, str | Path) else list(what or ())
        moment = Moment.of(as_of, known_at)
        if "facts" in names:
            refuse_mixture(names, query, options, moment)
            return export_facts(self.store, str(to))
        with ExitStack() as held:
            if options.format == "feast":
                refuse_for_feast(names, query)
                found = feature_views(self.store, names, moment, options.every, held)
            else:
                found = sources(self.store, names, query, params or {}, has_moment=moment.is_limited)
            return export(self.at(as_of, known_at), found, str(to), options, moment)

"""The methods of `FeatureStore` about encoders: which there are, how two compare, and to remove the vectors of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from photogenic._intake import Intake
from photogenic.warehouse import Store

if TYPE_CHECKING:
    from photogenic.features.compare.options import CompareArguments, CompareOptions
    from photogenic.features.encoders.base import Encoder
    from photogenic.features.vectors.removal import Removal
    from photogenic.models.encoder_change.compare import EncoderComparison
    from photogenic.warehouse.moment import Instant

__all__ = ["Encoders"]


class Encoders(Intake):
    """Base class of `FeatureStore`.

    Attributes:
        at: function that returns the open store as of other moments.
    """

    at: Callable[..., Store]

    def encoders(self) -> list[Encoder]:
        """Return the encoders that can be used here, including those that were fine-tuned in this store."""
        from photogenic.features.encoders.registry import encoders

        return encoders(self.store.layout.models)

    def compare_encoders(
        self,
        encoder_a: str,
        encoder_b: str,
        options: CompareOptions | None = None,
        /,
        *,
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        output: str | Path | None = None,
        **changes: Unpack[CompareArguments],
    ) -> EncoderComparison:
        """Compare two encoders: overlap of neighbors, heads side by side, and cost. Nothing is trained or changed.

        Args:
            encoder_a: encoder whose vectors the store has, such as the one in use.
            encoder_b: the other encoder.
            options: options of the comparison; None: the defaults.
            as_of: only photos that existed and labels of what had happened before this instant. None: now.
            known_at: only what had arrived before this instant. None: everything.
            output: HTML file to write, with the photos whose neighbors differ most. None: no file.
            changes: fields of `options` to replace. See `features.compare.options.CompareOptions`.

        Raises:
            InputError: the store has no vectors of an encoder, or both names are the same.
            StoreError: there is no store, or vectors are damaged.
        """
        from photogenic.features.compare.options import CompareOptions
        from photogenic.models.encoder_change.compare import compare_encoders

        chosen = replace(options or CompareOptions(), **changes)
        store = self.at(as_of, known_at)
        found = compare_encoders(store, encoder_a, encoder_b, chosen)
        if output is not None:
            from photogenic.app.report.encoder_report import write_encoder_report

            write_encoder_report(store, found, output)
        return found

    def remove_vectors(
        self, encoders: str | Sequence[str], *, force: bool = False, plan: bool = False
    ) -> list[Removal]:
        """Remove the vectors of encoders, with their indices and neighbors; runs keep their figures and predictions.

        See `features.vectors.removal.remove_vectors`.

        Args:
            encoders: names of encoders that the store has vectors of.
            force: whether to remove vectors that a promoted run reads.
            plan: whether to only return what would be removed.
        """
        from photogenic.features.vectors.removal import plan_removal, remove_vectors

        names = [encoders] if isinstance(encoders, str) else list(encoders)
        if plan:
            return [plan_removal(self.store, name) for name in names]
        with self._working() as store:
            return remove_vectors(store, names, force=force)

"""The methods of `FeatureStore` for training sets with a name, and for pictures outside of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from photogenic._intake import Intake
from photogenic._lazy import pl

if TYPE_CHECKING:
    from photogenic.features.export_pictures.export import PicturesExported
    from photogenic.features.export_pictures.options import PictureArguments, PictureOptions
    from photogenic.models.training_sets.create import Created
    from photogenic.models.training_sets.frozen import NamedTrainingSet
    from photogenic.models.training_sets.options import TrainingSetArguments, TrainingSetOptions
    from photogenic.models.training_sets.versions import Checked

__all__ = ["TrainingSets"]


class TrainingSets(Intake):
    """Base class of `FeatureStore`, which opens the store."""

    def create_training_set(
        self, name: str, options: TrainingSetOptions | None = None, /, **changes: Unpack[TrainingSetArguments]
    ) -> Created:
        """Create the next version of a named training set: each feature as it was known at the instant of its row.

        Args:
            name: name of the set.
            options: options of the set; None: those of `training_sets/NAME.toml` of the project, else the defaults.
            changes: fields of `options` to replace. See `models.training_sets.options.TrainingSetOptions`.

        Raises:
            PhotogenicError: see `models.training_sets.create.create`.
        """
        from photogenic.models.training_sets.create import create
        from photogenic.models.training_sets.options import chosen

        with self._working() as store:
            return create(store, name, chosen(store.project, name, options, changes))

    def load_training_set(self, name: str, version: int | None = None) -> NamedTrainingSet:
        """Open a version of a named training set, whose checksums are verified. None: its newest version.

        Raises:
            InputError: there is no such set or version.
            StoreError: a file is damaged.
        """
        from photogenic.models.training_sets.frozen import load

        return load(self.store, name, version)

    def training_sets(self) -> pl.DataFrame:
        """Return every version of every named training set: the relation `training_sets` without removed ones."""
        return self.store.database.frame("select * from training_sets where status <> 'removed' order by name, version")

    def describe_training_set(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Return the manifest of a version: definition, columns, counts, digests and audit. None: its newest version.

        Raises:
            InputError: there is no such set or version.
        """
        from photogenic.models.training_sets.versions import find, summary

        return summary(find(self.store, name, version)[1])

    def export_training_set(self, name: str, folder: str | Path, *, version: int | None = None) -> list[Path]:
        """Copy the files of a version into a folder outside of the store. See `models.training_sets.versions.export`.

        Raises:
            InputError: there is no such set, or the folder holds something.
        """
        from photogenic.models.training_sets.versions import export

        return export(self.store, name, folder, version)

    def export_pictures(
        self, to: str | Path, options: PictureOptions | None = None, /, **changes: Unpack[PictureArguments]
    ) -> PicturesExported:
        """Write the pictures of photos to a folder or an object store: as received, or decoded to one size.

        Args:
            to: folder or address, outside of the store.
            options: options of the export; None: the defaults.
            changes: fields of `options` to replace. See `features.export_pictures.options.PictureOptions`.

        Raises:
            PhotogenicError: see `features.export_pictures.export.export_pictures`.
        """
        from photogenic.features.export_pictures.export import export_pictures
        from photogenic.features.export_pictures.options import PictureOptions
        from photogenic.models.training_sets.photos import photo_ids_of

        options = replace(options or PictureOptions(), **changes)
        chosen = None if options.training_set is None else photo_ids_of(self.store, options.training_set)
        return export_pictures(self.store, str(to), options, photo_ids=chosen)

    def verify_training_set(self, name: str | None = None, *, version: int | None = None) -> list[Checked]:
        """Check every byte of versions, and that no erased person is in them.

        See `models.training_sets.versions.verify`.

        Raises:
            InputError: there is no such set or version.
        """
        from photogenic.models.training_sets.versions import verify

        return verify(self.store, name, version)

    def remove_training_set(self, name: str, *, version: int | None = None) -> list[int]:
        """Remove a version, or without one the whole set; return the numbers of the removed versions.

        Raises:
            InputError: there is no such set or version.
        """
        from photogenic.models.training_sets.versions import remove

        with self._working() as store:
            return remove(store, name, version)

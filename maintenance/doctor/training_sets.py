"""Check named training sets: their files against their manifests, and folders that nothing lists."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from photogenic.maintenance.doctor.finding import Finding
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.storage.training_set_files import abandoned, check_files, damaged, folders, read_manifest

__all__ = ["examine_training_sets"]


def examine_training_sets(store: Store, *, thorough: bool, fix: bool) -> Iterator[Finding]:
    """Check each version. A damaged one is not removed: only its user knows whether it can be created again.

    Args:
        store: the open store.
        thorough: whether to read every byte; otherwise sizes are compared.
        fix: whether to remove folders that nothing lists. The caller holds the lock.
    """
    layout = store.layout
    query = "select name, version, n_rows from training_sets where status <> 'removed' order by name, version"
    listed = {(name, version): n_rows for name, version, n_rows in store.database.rows(query)}
    unlisted = [path for name, version, path in folders(layout) if (name, version) not in listed]
    unlisted += abandoned(layout)
    wrong: StoreError | None = None
    for (name, version), n_rows in listed.items():
        folder = layout.training_set(name, version)
        try:
            manifest = read_manifest(folder)
            if manifest is None:
                raise damaged(folder, "it has no manifest")
            if manifest.n_rows != n_rows:
                raise damaged(folder, f"it has {manifest.n_rows:,} rows, and {n_rows:,} are listed")
            if thorough:
                check_files(folder, manifest, thorough=True)
        except StoreError as error:
            wrong = wrong or error
    if wrong is not None:
        yield Finding("training sets", "fault", wrong.what, wrong.remedy)
    elif unlisted and not fix:
        found = f"{len(unlisted)} folders of a creation that was interrupted"
        yield Finding("training sets", "note", found, f"features doctor --fix --store {layout.root}")
    elif unlisted:
        for path in unlisted:
            shutil.rmtree(path, ignore_errors=True)
        yield Finding("training sets", "fixed", f"{len(unlisted)} folders of an interrupted creation removed")
    elif listed:
        yield Finding(
            "training sets", "ok", f"{len(listed):,} versions" + (", every byte as written" if thorough else "")
        )

"""features training-set: training sets with a name, each feature as it was known at the instant of its row."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.dataclass_options import Given, options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.cli.commands.receipts import confirm
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.models.training_sets.options import TrainingSetOptions

__all__ = ["create", "export", "list_", "remove", "show", "verify"]

Name = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=completion.training_sets, help="Name of the training set.")
]

Version = Annotated[int | None, typer.Option(metavar="N", help="Number of the version. Default: the newest one.")]


@options_from_dataclass(TrainingSetOptions)
def create(name: Name, *, options: Given, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """Options that are not given are those of training_sets/NAME.toml of the project. A version never changes. If the
    newest data gives the content of an earlier version, no new one is made.
    """
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        made = opened.create_training_set(name, **options)
    manifest = made.manifest
    rows = [(column.name, column.type, column.role, column.source) for column in manifest.columns]
    if form == "table":
        print_table(Table(("column", "type", "role", "source"), rows))
        for note in made.notes:
            print_message(note)
        splits = ", ".join(f"{n:,} {split}" for split, n in manifest.counts["splits"].items())
        audit = manifest.audit
        if audit["instants"]:
            print_message(
                f"Audit: {audit['values']:,} values of {audit['rows']:,} rows were computed again as of "
                f"{audit['instants']} instants: none is from the future."
            )
        what = "Created" if made.is_new else "The content is that of an earlier version:"
        print_message(f"{what} {name} v{manifest.version}: {manifest.n_rows:,} rows ({splits}) in {made.folder}.")
    else:
        print_table(Table.of_records([_record(manifest.name, manifest, made.is_new, made.folder)]), form)


def list_(*, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """One row per version. The relation training_sets has more columns."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.training_sets()
    columns = ("name", "version", "n_rows", "target", "entity", "at_column", "status", "created_at")
    print_table(Table(columns, [tuple(row[name] for name in columns) for row in found.to_dicts()]), form)


def show(name: Name, *, version: Version = None, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """The manifest: columns, counts of rows and of missing values, what the audit compared, and digests."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.describe_training_set(name, version)
    if form != "table":
        print_table(Table.of_records([found]), form)
        return
    _print(found, form)


def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the files; it must be empty or new.")],
    *,
    version: Version = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The copies are outside of the store: features erase does not reach them."""
    with photogenic.FeatureStore(store) as opened:
        files = opened.export_training_set(name, folder, version=version)
    print_table(Table(("file", "bytes"), [(str(file), file.stat().st_size) for file in files]), form)


def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", autocompletion=completion.training_sets, help="Name of a training set. Default: all sets."
        ),
    ] = None,
    *,
    version: Annotated[
        int | None, typer.Option(metavar="N", help="Number of a version. Default: all versions.")
    ] = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Files are compared with their manifests, and ids with those of erased people. Ends with exit code 4 if something
    is wrong.
    """
    if version is not None and name is None:
        raise typer.BadParameter("--version needs the name of a training set")
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.verify_training_set(name, version=version)
    columns = ("name", "version", "state", "found", "remedy")
    print_table(Table(columns, [tuple(getattr(one, column) for column in columns) for one in found]), form)
    if any(one.state != "ok" for one in found):
        raise typer.Exit(4)


def remove(
    name: Name,
    *,
    version: Annotated[
        int | None, typer.Option(metavar="N", help="Number of the version to remove. Default: all versions.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: Store = Path("store"),
) -> None:
    """The numbers of removed versions are not used again."""
    what = f"version {version} of {name}" if version else f"all versions of {name}"
    one = f" --version {version}" if version else ""
    confirm(f"Remove {what}?", yes=yes, remedy=f"features training-set remove {shlex.quote(name)}{one} --yes")
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        gone = opened.remove_training_set(name, version=version)
    print_message(f"Removed {name} v{', v'.join(map(str, gone))}.")


def _record(name: str, manifest: Any, is_new: bool, folder: Path) -> dict[str, Any]:
    return {
        "name": name,
        "version": manifest.version,
        "is_new": is_new,
        "n_rows": manifest.n_rows,
        "counts": manifest.counts,
        "audit": manifest.audit,
        "folder": str(folder),
    }


def _print(found: dict[str, Any], form: Format) -> None:
    counts = found["counts"]
    print(
        f"{found['name']} v{found['version']}, {found['status']}, created {found['created_at']} by {found['program']}"
    )
    print(f"Rows: {found['n_rows']:,} of {counts['entity_rows']:,} of {found['definition']['entity']}", end="")
    left_out = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts["left_out"].items())
    print(f"; left out: {left_out}" if left_out else "")
    print("Splits: " + ", ".join(f"{n:,} {split}" for split, n in counts["splits"].items()))
    audit = found["audit"]
    print(f"Audit: {audit['values']:,} values computed again as of {audit['instants']} instants")
    for removal in found["removals"]:
        print(f"Removed {removal['removed_at']}: {removal['n_rows']:,} rows of erased people or purged photos")
    print()
    rows = [
        (one["name"], one["type"], one["role"], one["source"], one["time"], counts["missing"].get(one["name"], 0))
        for one in found["columns"]
    ]
    print_table(Table(("column", "type", "role", "source", "joined", "missing"), rows), form)
    if counts["relations"]:
        print()
        joined = [(name, one["matched"], one["unmatched"]) for name, one in counts["relations"].items()]
        print_table(Table(("relation", "matched", "unmatched"), joined), form)

"""features build: labels, faces, embeddings and indices, as far as they are missing or stale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import photogenic
from photogenic._lazy import pl
from photogenic.app.cli.commands.dataclass_options import Given, options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.features.build_options import BuildOptions
from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.labels.options import LabelOptions

if TYPE_CHECKING:
    from photogenic.features.build import BuildReport
    from photogenic.features.plan import BuildPlan
    from photogenic.warehouse.labels.last_build import LabelChange

__all__ = ["run"]


@options_from_dataclass(BuildOptions)
def run(
    *,
    options: Given,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what would be done and what it costs; do nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before other label options change the labels of everybody.")
    ] = False,
    label_defaults: Annotated[
        bool,
        typer.Option(
            "--label-defaults",
            help="Use the defaults for label options that are not given here, in place of those of the last build and "
            "of photogenic.toml.",
        ),
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Only missing or outdated results are computed. Label options stay as in the last build until they are changed."""
    if label_defaults:
        options["labels"] = LabelOptions(**options.get("labels", {}))
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        if plan:
            _print_plan(opened.plan(**options), form)
            return
        if not yes and (change := opened.label_change(**options)) is not None:
            _confirm(change)
        _print_report(opened.build(**options), form)


def _confirm(change: LabelChange) -> None:
    """Ask whether to build with other label options.

    Raises:
        ConflictError: there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise ConflictError(
            f"This build would change the labels that everybody reads, and nothing was changed. {change}",
            "--yes, or the label options of the last build",
            "features build --yes, with the same options",
        )
    print_message(str(change))
    typer.confirm("Build with these label options?", abort=True, err=True)


def _print_plan(plan: BuildPlan, form: Format) -> None:
    relations = plan.labels.relations if plan.labels else ()
    rows: list[tuple[str, str, int | None, float | None, int | None]] = [
        ("labels", built.name, built.n_rows, built.seconds, None) for built in relations if built.action != "kept"
    ]
    if plan.labels:
        computed = [built for built in plan.labels.own.relations if built.action in ("computed", "updated")]
        rows += [("own relations", built.name, built.n_rows, built.seconds, None) for built in computed]
    if plan.n_decoded:
        rows.append(("photos", "pictures to decode", plan.n_decoded, plan.seconds.get("decode"), None))
    if plan.n_pictures:
        rows.append(("faces", "pictures never looked at", plan.n_pictures, plan.seconds.get("faces"), None))
    for name, n in plan.n_vectors.items():
        if n:
            rows.append(("embeddings", name, n, plan.seconds.get(name), plan.n_bytes[name]))
    for name, n in plan.n_features.items():
        if n:
            rows.append(("features", name, n, plan.seconds.get(f"feature {name}"), None))
    rows += [("index", name, None, None, None) for name in (*plan.indices, *plan.likeness)]
    with_reasons = [(*row, plan.why.get(f"{row[0]} {row[1]}")) for row in rows]
    with_reasons += [(one.step, one.name, one.n, None, None, one.why) for one in plan.follows]
    print_table(Table(("step", "what", "n_rows", "seconds", "bytes", "why"), with_reasons), form)
    if plan.labels:
        print_message(str(plan.labels))
        for note in plan.labels.own.notes:
            print_message(note)
    if plan.label_change is not None:
        print_message(str(plan.label_change))
    for note in plan.notes:
        print_message(note)
    if not plan.changes:
        print_message("There is nothing to do.")


_BUILT = ("relation", "action", "n_rows", "checksum", "seconds")


def _print_report(report: BuildReport, form: Format) -> None:
    """Print the funnel on stdout, and for people also what the build computed."""
    relations = report.labels.relations if report.labels else ()
    if form == "table":
        if relations:
            rows: list[tuple[str, str, int, str | None, float]]
            rows = [(b.name, b.action, b.n_rows, b.checksum, b.seconds) for b in relations]
            print_table(Table(_BUILT, rows), title="Relations")
        if report.own is not None and report.own.relations:
            rows = [(b.name, b.action, b.n_rows, b.checksum or None, b.seconds) for b in report.own.relations]
            print_table(Table(_BUILT, rows), title="Relations of your own")
        made = report.computed
        if made is not None:
            vectors = ", ".join(f"{n:,} by {name}" for name, n in made.computed.items()) or "none"
            print(f"Photos: {made.n_photos:,} with a picture, {made.n_decoded:,} looked at; new vectors: {vectors}.")
            if made.features:
                print(f"Features: {', '.join(f'{n:,} photos by {name}' for name, n in made.features.items())}.")
        for name, index in report.indices.items():
            print(f"Index {name}: {index.kind}, recall@10 {index.recall_at_10:.4f}.")
        if report.likeness is not None:
            for name, k in report.likeness.neighbours.items():
                print(f"Nearest photos by {name}: {k} of each photo.")
            if report.likeness.n_near_duplicates is not None:
                print(f"Near-duplicates: {report.likeness.n_near_duplicates:,} pairs.")
        print()
    if report.funnel is not None:
        print_table(Table.of(_without_absent_sources(report.funnel, form)), form, title="What is left after each step")
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in report.seconds.items())
    print_message(f"Built in {report.total_s:.1f} s: {steps}.")


def _without_absent_sources(funnel: pl.DataFrame, form: Format) -> pl.DataFrame:
    """Leave out the steps of a source without data, except in formats for programs."""
    present = pl.max_horizontal("n_users", "n_photos", "n_swipes").max().over("source") > 0
    reduced = funnel.filter(present)
    return reduced if form == "table" and len(reduced) else funnel

"""features runs: which runs there are, and which of them predict."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.cli.commands.receipts import confirm
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["demote", "list_", "promote", "remove", "show"]

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        autocompletion=completion.runs,
        help="Id, name or beginning of the id of a run.",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=completion.targets, help="Only runs of this target. Default: all."),
]
_SHOWN = (
    "run_id",
    "name",
    "target",
    "setup",
    "encoder",
    "head",
    "dev",
    "test",
    "coverage",
    "audit",
    "promoted",
    "answers",
)
"""Columns of the table of `features runs list`; CSV and JSON have all."""


def _figure(value: float | None) -> str | None:
    """Format a figure by itself: those of one column have the units of different targets."""
    return None if value is None else f"{value:.4f}" if abs(value) < 1_000 else f"{value:,.1f}"


def list_(*, target: Target = None, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """CSV and JSON have more columns, among them why a run cannot predict here."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.runs(target)
    if form != "table":
        print_table(Table.of(found), form)
        return
    shown = ([*map(_figure, column)] if column.name in ("dev", "test") else column for column in found.select(_SHOWN))
    print_table(Table(tuple(_SHOWN), zip(*shown, strict=True)))
    for row in found.filter(found["problem"].is_not_null() & (found["origin"] == "trained")).to_dicts():
        print_message(f"{row['run_id']} ({row['encoder']} {row['head']}) cannot predict here: {row['problem']}")


def show(run: RunName, *, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """It prints data, settings, figures, groups and files, and whether the run can predict here."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.show_run(run)
    if form == "json":
        print_table(Table.of_records([found]), form)
        return
    rows = [(name, _shown(value)) for name, value in _flat(found)]
    print_table(Table(("field", "value"), rows), form)
    if form == "table" and (slices := found["results"].get("slices")):
        print()
        names = ("column", "value", "n_photos", "n_users")
        figures = ("error", "bias", "spearman")
        table = [(*(one[name] for name in names), *(one[name][0] for name in figures)) for one in slices]
        print_table(Table((*names, *figures), table), title="Test photos by group")


def promote(
    run: RunName,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Promote a run that cannot predict on this machine, for others.")
    ] = False,
    store: Store = Path("store"),
) -> None:
    """It predicts in predict, crop, report, API and pages, until another run is promoted or it is demoted."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.promote_run(run, force=force)
    print_message(
        f"Run {found.run_id} ({found.encoder} {found.head}, {found.setup}) predicts {found.target} from now on."
    )


def demote(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", autocompletion=completion.targets, help="Target of the promoted run.")
    ],
    *,
    store: Store = Path("store"),
) -> None:
    """The best run on dev predicts the target again."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        former = opened.demote_run(target)
    state = f"Run {former} is no longer promoted." if former else "No run was promoted."
    print_message(f"{state} The best run on dev predicts {target}.")


def remove(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.runs,
            help="Id, name or beginning of the id of each run.",
            show_default=False,
        ),
    ],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. What is removed cannot be restored.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove the promoted run too.")] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Weights, figures and predictions are removed; of a fine-tuned network also its embeddings and index."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        confirm(f"Remove {', '.join(runs)} for good?", yes=yes, remedy=f"features runs remove {shlex.join(runs)} --yes")
        removed = opened.remove_run(runs, force=force)
    print_table(Table.of_records([asdict(one) for one in removed]), form)


def _flat(found: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the fields, those of hyperparameters, results and files one by one; slices have a table of their own."""
    for name, value in found.items():
        if name in {"hyperparameters", "results", "files", "predictions", "encoder_digests"}:
            yield from (
                (f"{name}.{key}", inner) for key, inner in value.items() if (name, key) != ("results", "slices")
            )
        else:
            yield name, value


def _shown(value: object) -> object:
    """Return a value for a cell; long lists, such as learning curves, are cut."""
    if isinstance(value, dict | list):
        text = json.dumps(value, default=str, ensure_ascii=False)
        return text if len(text) <= 160 else f"{text[:150]}... ({len(text):,} characters)"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

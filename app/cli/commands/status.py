"""features status: contents and freshness of a store."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal import logs, streams
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.features.status import moment_in_words

if TYPE_CHECKING:
    from photogenic.features.checks import Check

__all__ = ["run"]


def run(
    context: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check labels, vectors, indices and the last build instead. End with exit code 4 if a check fails.",
        ),
    ] = False,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --check: greatest age of the newest data in the labels, such as 26h, 90min or 2d. Default: no "
            "limit.",
        ),
    ] = None,
    max_refused: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="With --check: most rows that may be refused among the files of each kind in the 24 hours up to the "
            "newest, as a share such as 1% or as a number of rows. Default: no limit.",
        ),
    ] = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Rows are counted for each relation; refused rows are counted for each reason."""
    if not check:
        _refuse_without_check(context, "max_age", "max_refused")
    with photogenic.FeatureStore(store) as opened:
        if check:
            _print_checks(opened.check(max_age=max_age, max_refused=max_refused), form)
            return
        found = opened.status()
    if form == "table":
        _print(found)
    else:
        print_table(Table.of_records([found]), form)


def _refuse_without_check(context: typer.Context, *names: str) -> None:
    """Refuse options of --check on a command line without it. As defaults from elsewhere they have no effect then."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{option} needs --check", ctx=context)


def _print_checks(checks: list[Check], form: Format) -> None:
    """Print the checks, and end with 4 if one failed, also if the reader of stdout has ended."""
    failed = [one for one in checks if not one.ok]
    if (log := logs.structured()) is not None:
        for one in checks:
            log.event("check", "info" if one.ok else "error", **asdict(one))
    columns = ("name", "ok", "value", "threshold", "remedy")
    rows = [tuple(getattr(one, column) for column in columns) for one in checks]
    with streams.unread_is_fine() if failed else contextlib.nullcontext():
        print_table(Table(columns, rows), form)
    if failed:
        names = ", ".join(one.name for one in failed)
        print_message(f"{len(failed)} of {len(checks)} checks failed: {names}.")
        raise typer.Exit(4)


def _print(found: dict[str, Any]) -> None:
    labels = found["labels"]
    print(f"Store      {found['store']}")
    print(f"Snapshot   published {found['snapshot_at']}")
    print(f"Ingested   {labels['ingested_at'] or 'nothing yet'}")
    print(f"Labels     {_freshness(labels)}")
    print(f"Writer     {found['writer'] or 'nobody'}")
    for stage in found["underway"]:
        print(f"           {_underway(stage)}")
    for one in found["listeners"]:
        print(f"Listener   {_listener(one)}")
    print()
    print_table(Table(("relation", "n_rows"), list(found["relations"].items())))
    if found["photos"]:
        print()
        print_table(Table(("pictures", "n_photos"), list(found["photos"].items())))
    if found["embeddings"]:
        print()
        print_table(Table.of_records([_encoder(name, facts) for name, facts in found["embeddings"].items()]))
    if found["picture_features"]:
        print()
        rows = [
            (name, made["n_photos"], made["n_pictures"], made["n_errors"], made["code"])
            for name, made in found["picture_features"].items()
        ]
        print_table(Table(("feature", "n_photos", "n_pictures", "n_errors", "code"), rows))
        for made in found["picture_features"].values():
            if made["remedy"]:
                print(made["remedy"])
    if found["sources"]:
        print()
        read = [
            (name, one["position"], one["synced_at"] or one["written_at"]) for name, one in found["sources"].items()
        ]
        print_table(Table(("source", "position", "read at"), read))
    own = [
        (name, facts["status"], facts["stale"], (facts["error"] or "").partition("\n")[0] or None)
        for name, facts in found["own_relations"].items()
    ]
    own += [
        (f"audit {name}", facts["status"], None, facts["error"].partition("\n")[0])
        for name, facts in found["own_audits"].items()
        if facts["error"]
    ]
    if own:
        print()
        print_table(Table(("own relation", "status", "stale", "error"), own))
    refused = [(kind, reason, n) for kind, reasons in found["rejects"].items() for reason, n in reasons.items()]
    if refused:
        print()
        print_table(Table(("refused", "reason", "n_rows"), refused))


def _underway(stage: dict[str, Any]) -> str:
    bound = "up to " if stage["at_most"] else ""
    of = "" if stage["total"] is None else f" of {bound}{stage['total']:,}"
    rate = "" if stage["per_s"] is None else f", {stage['per_s']:,} a second"
    return f"{stage['name']}: {stage['done']:,}{of} {stage['unit']} in {stage['seconds']:.0f} s{rate}"


def _listener(one: dict[str, Any]) -> str:
    why = f" ({one['why']})" if one["why"] else ""
    refused = f", {one['n_refused']:,} refused" if one["n_refused"] else ""
    return f"{one['source']}: {one['state']}{why}; {one['n_events']:,} {one['kind']}{refused}, lag {one['lag']:,}"


def _freshness(labels: dict[str, Any]) -> str:
    if labels["built_at"] is None:
        return "never built; run `features build`"
    if moment := moment_in_words(labels):
        return f"built {labels['built_at']}, {moment}; `features build` publishes those of the present"
    if not labels["stale"]:
        return f"built {labels['built_at']}, up to date"
    return f"built {labels['built_at']}; since then {', '.join(labels['changed'])} changed, run `features build`"


def _encoder(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    index = facts["index"] or {}
    return {
        "encoder": name,
        "n_vectors": facts["n_photos"],
        "n_pictures": facts["n_pictures"],
        "index": index.get("kind"),
        "recall_at_10": index.get("recall_at_10"),
        "index_stale": facts["index_stale"],
    }

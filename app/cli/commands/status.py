"""features status: contents and freshness of a store."""

from pathlib import Path
from typing import Any

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_table

__all__ = ["run"]


def run(*, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """Rows are counted for each relation; refused rows are counted for each reason."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.status()
    if form == "table":
        _print(found)
    else:
        print_table(Table.of_records([found]), form)


def _print(found: dict[str, Any]) -> None:
    labels = found["labels"]
    print(f"Store      {found['store']}")
    print(f"Snapshot   published {found['snapshot_at']}")
    print(f"Ingested   {labels['ingested_at'] or 'nothing yet'}")
    print(f"Labels     {_freshness(labels)}")
    print(f"Writer     {found['writer'] or 'nobody'}")
    for stage in found["underway"]:
        print(f"           {_underway(stage)}")
    print()
    print_table(Table(("relation", "n_rows"), list(found["relations"].items())))
    if found["photos"]:
        print()
        print_table(Table(("pictures", "n_photos"), list(found["photos"].items())))
    if found["embeddings"]:
        print()
        print_table(Table.of_records([_encoder(name, facts) for name, facts in found["embeddings"].items()]))
    refused = [(kind, reason, n) for kind, reasons in found["rejects"].items() for reason, n in reasons.items()]
    if refused:
        print()
        print_table(Table(("refused", "reason", "n_rows"), refused))


def _underway(stage: dict[str, Any]) -> str:
    bound = "up to " if stage["at_most"] else ""
    of = "" if stage["total"] is None else f" of {bound}{stage['total']:,}"
    rate = "" if stage["per_s"] is None else f", {stage['per_s']:,} a second"
    return f"{stage['name']}: {stage['done']:,}{of} {stage['unit']} in {stage['seconds']:.0f} s{rate}"


def _freshness(labels: dict[str, Any]) -> str:
    if labels["built_at"] is None:
        return "never built; run `features build`"
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

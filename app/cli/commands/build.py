"""features build: labels, faces, embeddings and indices, as far as they are missing or stale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.dataclass_options import spelled_out
from photogenic.app.cli.commands.options import AsOf, FormatOption, Size, Store
from photogenic.app.terminal.output import Format, Table, say, show
from photogenic.app.terminal.progress import listener
from photogenic.warehouse.labels.options import LabelOptions

if TYPE_CHECKING:
    import polars as pl

    from photogenic.features.build import BuildReport
    from photogenic.features.plan import BuildPlan

__all__ = ["run"]


@spelled_out(LabelOptions, panel="Labels")
def run(
    *,
    encoders: Annotated[
        list[str] | None,
        typer.Option("--encoder", help="Which encoder; may be repeated.", show_default="the usual pair"),
    ] = None,
    only: Annotated[
        Literal["labels", "faces", "embeddings", "index"] | None, typer.Option(help="One step alone.")
    ] = None,
    as_of: AsOf = None,
    face_model: Annotated[Literal["short", "full"], typer.Option(help="For portraits, or for small faces.")] = "short",
    face_confidence: Annotated[float, typer.Option(help="Faces that score less do not count.")] = 0.5,
    flip: Annotated[bool, typer.Option("--flip", help="Vectors of the mirror images too.")] = False,
    dtype: Annotated[
        Literal["float32", "float16"] | None,
        typer.Option("--dtype", help="Of the vectors' numbers on disk.", show_default="as they are, float32 at first"),
    ] = None,
    recall: Annotated[float, typer.Option(help="Wanted of each search index, 0 to 1.")] = 0.99,
    memory: Size = None,
    neighbours: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Keep the K nearest of every photo in `neighbours`.")
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Find photos that show the same picture.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Compute every label again, stale or not.")] = False,
    engine: Annotated[
        Literal["duckdb", "spark"] | None,
        typer.Option(
            help="Who computes labels; spark looks at photos too.", show_default="labels as last time, duckdb at first"
        ),
    ] = None,
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of Spark: local, spark://HOST:7077, sc://HOST:15002.", show_default=False),
    ] = None,
    facts: Annotated[
        str | None, typer.Option(metavar="URI", help="Where `features export` put the facts that Spark reads.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done; do nothing.")] = False,
    options: LabelOptions,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Bring the store up to date; what is there already is not computed again."""
    if only in ("labels", "faces") and (encoders or flip):
        raise typer.BadParameter(f"--only {only} computes no vectors, so --encoder and --flip mean nothing")
    if only not in (None, "index") and (memory is not None or neighbours or near_duplicates):
        raise typer.BadParameter(
            f"--only {only} makes no index, so --memory, --neighbours and --near-duplicates mean nothing"
        )
    if only == "index" and anew:
        raise typer.BadParameter("--only index computes no labels, so --anew means nothing")
    from photogenic.features.faces.detector import FaceSettings

    # A step about pictures leaves the labels' choices as they are, unless it is told others.
    unchosen = only in ("faces", "embeddings") and options == LabelOptions()
    arguments: dict[str, Any] = {
        "encoders": encoders,
        "only": only,
        "as_of": as_of,
        "options": None if unchosen else options,
        "faces": FaceSettings(face_model, face_confidence),
        "flip": flip,
        "dtype": dtype,
        "recall": recall,
        "memory": memory,
        "neighbours": neighbours,
        "near_duplicates": near_duplicates,
        "anew": anew,
        "engine": engine,
        "master": master,
        "facts": facts,
    }
    with FeatureStore(store, progress=listener()) as opened:
        if plan:
            _print_plan(opened.plan(**arguments), form)
        else:
            _print_report(opened.build(**arguments), form)


def _print_plan(plan: BuildPlan, form: Format) -> None:
    relations = plan.labels.relations if plan.labels else ()
    rows: list[tuple[str, str, int | None, float | None, int | None]] = [
        ("labels", built.name, built.n_rows, built.seconds, None) for built in relations if built.action != "kept"
    ]
    if plan.n_decoded:
        rows.append(("photos", "pictures to decode", plan.n_decoded, plan.seconds.get("decode"), None))
    if plan.n_pictures:
        rows.append(("faces", "pictures never looked at", plan.n_pictures, plan.seconds.get("faces"), None))
    for name, n in plan.n_vectors.items():
        if n:
            rows.append(("embeddings", name, n, plan.seconds.get(name), plan.n_bytes[name]))
    rows += [("index", name, None, None, None) for name in (*plan.indices, *plan.likeness)]
    show(Table(("step", "what", "n_rows", "seconds", "bytes"), rows), form)
    if plan.labels:
        say(str(plan.labels))
    for note in plan.notes:
        say(note)
    if not plan.changes:
        say("There is nothing to do.")


def _print_report(report: BuildReport, form: Format) -> None:
    """The funnel is the data; what was done about it is for the person."""
    relations = report.labels.relations if report.labels else ()
    if form == "table":
        if relations:
            rows = [(b.name, b.action, b.n_rows, b.checksum, b.seconds) for b in relations]
            show(Table(("relation", "action", "n_rows", "checksum", "seconds"), rows), title="Relations")
        made = report.computed
        if made is not None:
            vectors = ", ".join(f"{n:,} by {name}" for name, n in made.computed.items()) or "none"
            print(f"Photos: {made.n_photos:,} with a picture, {made.n_looked:,} looked at; new vectors: {vectors}.")
        for name, index in report.indices.items():
            print(f"Index {name}: {index.kind}, recall@10 {index.recall_at_10:.4f}.")
        if report.likeness is not None:
            for name, k in report.likeness.neighbours.items():
                print(f"Neighbours {name}: {k} of each photo.")
            if report.likeness.n_near_duplicates is not None:
                print(f"Near-duplicates: {report.likeness.n_near_duplicates:,} pairs.")
        print()
    if report.funnel is not None:
        show(Table.of(_told(report.funnel, form)), form, title="What is left after each step")
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in report.seconds.items())
    say(f"Built in {report.total_s:.1f} s: {steps}.")


def _told(funnel: pl.DataFrame, form: Format) -> pl.DataFrame:
    """A person is spared the steps of a source of which there is nothing."""
    import polars as pl

    present = pl.max_horizontal("n_users", "n_photos", "n_swipes").max().over("source") > 0
    told = funnel.filter(present)
    return told if form == "table" and len(told) else funnel

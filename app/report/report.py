"""Report of a store in one HTML file: tables 1 to 3, the figures of the papers, curves, slices, similar photos.

    1. gather    the runs, and the test predictions of the best run of each target
    2. draw      every figure, as SVG for the file and as PNG for the folder beside it
    3. write     the PNGs, then the file

The file loads no other files: it contains its styles, its figures and small JPEGs of the photos. Where a part is
missing in the store, the report names the command that makes it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from photogenic._lazy import matplotlib
from photogenic.app.report.figures import (
    calibration,
    curves,
    drawing,
    gender_heatmap,
    maps,
    photo_selection,
    run_selection,
)
from photogenic.app.report.figures.head_comparison import head_comparisons
from photogenic.app.report.figures.labeled_predictions import labeled_predictions, reads
from photogenic.app.report.page_template import page_template
from photogenic.app.report.photo_cards import Album
from photogenic.features.search.searcher import Searcher
from photogenic.features.vectors.reader import open_vectors
from photogenic.models.data.targets import names_in
from photogenic.models.evaluation.gender_table import Pair, gender_table
from photogenic.models.evaluation.leaderboard import importances, tables
from photogenic.models.evaluation.slices import read_columns
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.erasure.tombstones import discard_if_erased
from photogenic.warehouse.labels.past import MomentDatabase
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["write_report"]

QUERIES = 3
"""Number of photos for which similar popular photos are shown."""


def write_report(store: Store, output: str | Path | None = None, *, slices: str | Path | None = None) -> Path:
    """Write the report, and its figures as PNG into a folder beside it; return the path of the report.

    Args:
        store: Store with labels; as of another moment, the report says so.
        output: Path of the report. Default: `reports/report.html` of the store. The folder has the name of the file
            with the suffix `-figures`.
        slices: File of columns by photo_id or user_id, as for `train`. The best heads are evaluated on each value.

    Raises:
        InputError: The slices cannot be read.
        StoreError: There is no store, or it was never built.
    """
    path = store.layout.reports / "report.html" if output is None else Path(output)
    folder = path.with_name(f"{path.stem}-figures")
    if output is not None:
        return _write(store, path, folder, slices)
    with discard_if_erased(store.layout, path, folder):
        return _write(store, path, folder, slices)


def _write(store: Store, path: Path, folder: Path, slices: str | Path | None) -> Path:
    page = page_template("report.html")
    columns = None
    if slices is not None:
        columns = read_columns(slices)
    report = _Report(store, columns)
    text = page.render(report.template_values())
    for name, data in report.pngs.items():
        write_atomically(folder / f"{name}.png", data)
    for stale in folder.glob("*.png") if folder.parent == store.layout.reports else ():
        if stale.stem not in report.pngs:
            stale.unlink()
    write_atomically(path, text.encode())
    return path


class _Report:
    """Contents of the report. `pngs` has every figure by name after `template_values` was called."""

    def __init__(self, store: Store, columns: Any) -> None:
        self.store, self.columns, self.pngs = store, columns, dict[str, bytes]()
        self.album = Album(store.layout)
        self.runs = run_selection.ordered(
            sql(store.database, "from runs").to_dicts(), run_selection.answering(store.layout, store.database.frame)
        )
        self.targets = names_in(self.runs)
        self._test_rows: dict[str, list[dict[str, Any]]] = {}

    def template_values(self) -> dict[str, Any]:
        """Return the variables of the template."""
        pairs = gender_table(self.store.database)
        parts: dict[str, Callable[[], Any]] = {
            "counts": self._counts,
            "heat": lambda: self._heat(pairs),
            "tables": self._tables,
            "inputs": lambda: [run_selection.inputs_table(each) for each in importances(self.runs)],
            "comparisons": lambda: head_comparisons(self.runs, self._test),
            "learning": lambda: self._add_figure(
                "learning-curves", curves.learning_curves(self.runs), "loss by epoch on train and dev"
            ),
            "penalty": lambda: self._add_figure(
                "c-curves", curves.penalty_curves(self.runs), "average precision by C of linear SVMs"
            ),
            "calibration": self._calibration,
            "gallery": self._galleries,
            "mistakes": self._mistakes,
            "map": self._map,
            "slices": self._slices,
            "alike": self._alike,
        }
        values: dict[str, Any] = {
            "pairs": pairs,
            "moment": str(self.store.database.moments) if isinstance(self.store.database, MomentDatabase) else "",
            "written_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
        }
        with self.store.progress.stage("report", len(parts), "parts") as advance:
            for name, part in parts.items():
                values[name] = part()
                advance(1)
        return values

    def _add_figure(self, name: str, figure: matplotlib.figure.Figure | None, says: str) -> str | None:
        if figure is None:
            return None
        self.pngs[name] = drawing.png(figure)
        return drawing.svg(figure, says)

    def _counts(self) -> dict[str, str]:
        names = ("users", "photos", "swipes")
        counts = sql(
            self.store.database, "select " + ", ".join(f"(select count(*) from {name}) as {name}" for name in names)
        )
        return {name: f"{n:,}" for name, n in zip(names, counts.row(0), strict=True)}

    def _heat(self, pairs: list[Pair]) -> str | None:
        return self._add_figure(
            "table-1", gender_heatmap.heat_map(pairs), "like ratio by the genders of sender and recipient"
        )

    def _tables(self) -> list[dict[str, Any]]:
        """Return tables 2 and 3 and those of other targets; empty if no head was trained."""
        return [run_selection.table(each) for each in tables(self.runs)]

    def _calibration(self) -> dict[str, Any] | None:
        chosen = [run for target in self.targets if (run := run_selection.best_run(self.runs, target))]
        made = calibration.calibration(
            [(run, calibration.with_labels(run["target"], self._test(run))) for run in chosen]
        )
        if made is None:
            return None
        figure, remarks = made
        return {
            "svg": self._add_figure("calibration", figure, "predicted beside observed, in bins"),
            "remarks": remarks,
        }

    def _galleries(self) -> dict[str, Any] | None:
        """Return figure 1 and the highest and lowest predictions of the best head."""
        run = run_selection.best_run(self.runs, "like_ratio", "popular")
        ranked = self._test(run) if run else []
        ends = photo_selection.extremes(ranked)
        if run is None or not ends.top:
            return None
        by = f"{run['reads']}, {run['head']}"
        rows = photo_selection.quantiles(ranked)
        lines = [(f"quantile {row.share:.1f}: predicted {row.low:.3f} to {row.high:.3f}", row.photos) for row in rows]
        sheets = {
            "figure-1": (f"Ranked by prediction ({by}), {ends.n_photos:,} test photos", lines),
            "top": ("Highest predictions", photo_selection.in_lines(ends.top)),
            "top-100": ("Highest predictions", photo_selection.in_lines([*ends.top, *ends.further])),
            "bottom": ("Lowest predictions, lowest first", photo_selection.in_lines(ends.bottom)),
        }
        for name, (title, shown) in sheets.items():
            if shown and (name != "top-100" or ends.further):
                self.pngs[name] = self.album.sheet(title, shown)
        return {
            "by": by,
            "n": ends.n_photos,
            "rows": [{"heading": heading, "photos": self.album.cards(row)} for heading, row in lines],
            "top": self.album.cards(ends.top),
            "further": self.album.cards(ends.further),
            "bottom": self.album.cards(ends.bottom),
        }

    def _mistakes(self) -> list[dict[str, Any]]:
        """Return figures 2 and 3: errors of the best gender head on dev, for each encoder."""
        found = []
        for encoder, own in run_selection.by_encoder(self.runs, "gender").items():
            worst = photo_selection.mistakes(self._test(own[0]))
            if worst.photos:
                title = f"{encoder}, {own[0]['head']}: {worst.n_wrong:,} of {worst.n_photos:,} test photos wrong"
                self.pngs[f"gender-errors-{_file_name(encoder)}"] = self.album.sheet(title, [("", worst.photos)])
                found.append({"title": title, "photos": self.album.cards(worst.photos)})
        return found

    def _map(self) -> dict[str, Any] | None:

        encoders = self._encoders()
        known = {row["photo_id"]: row for row in sql(self.store.database, photo_selection.query("mapped")).to_dicts()}
        made: dict[str, tuple[Any, list[float | None]]] = {}
        ids: dict[str, list[str]] = {}
        for encoder in encoders:
            vectors = open_vectors(self.store.layout, encoder)
            there = [photo_id for photo_id in vectors.ids() if photo_id in known]
            chosen = [there[at] for at in maps.sample(len(there))]
            places = maps.laid_out(vectors.read(chosen)[1]) if chosen else None
            if places is not None:
                ids[encoder] = chosen
                made[encoder] = places, [known[photo_id]["like_ratio"] for photo_id in chosen]
        svg = self._add_figure("map", maps.embedding_maps(made), "map of the photos by similarity of their embeddings")
        if svg is None:
            return None
        best = run_selection.best_run(self.runs, *self.targets)
        encoder = next(
            (name for name in (best["encoder"].split("+") if best else ()) if name in made), next(iter(made))
        )
        cells = maps.crowd(made[encoder][0], *self.album.CROWD)
        mosaic = self.album.mosaic([(known[ids[encoder][at]], column, row) for at, column, row in cells])
        self.pngs["map-photos"] = mosaic.png
        return {"svg": svg, "encoder": encoder, "mosaic": mosaic.base64, "n_shown": len(cells)}

    def _slices(self) -> list[dict[str, Any]]:
        """Return the slices of the best head of each target: gender and the columns of the user."""
        found = []
        for target in self.targets:
            run = run_selection.best_run(self.runs, target)
            made = (
                calibration.slices(run, calibration.with_labels(target, self._test(run)), self.columns) if run else None
            )
            if run and made:
                figure, warnings = made
                svg = self._add_figure(
                    f"slices-{target.replace('.', '-')}", figure, f"error, bias and rank correlation by group, {target}"
                )
                found.append(
                    {
                        "title": f"{run_selection.title(target)}: {run['reads']}, {run['head']}",
                        "svg": svg,
                        "warnings": warnings,
                    }
                )
        return found

    def _alike(self) -> dict[str, Any] | None:
        """Search popular photos of other users that are similar to photos near the median."""
        encoders = self._encoders()
        if not encoders:
            return None
        with Searcher(self.store) as searcher:
            rows = list(self._answers(searcher, encoders[0]))
        return {"encoder": encoders[0], "rows": rows} if rows else None

    def _answers(self, searcher: Searcher, encoder: str) -> Iterator[dict[str, Any]]:
        """Return a photo and similar popular photos."""
        for query in sql(self.store.database, photo_selection.query("median_photos")).to_dicts()[:QUERIES]:
            owner = query["user_id"].replace("'", "''")
            try:
                found = searcher.find(
                    [query["photo_id"]],
                    k=photo_selection.COLUMNS - 1,
                    encoder=encoder,
                    popular=True,
                    where=f"source = 'swipes' and weight >= 20 and user_id <> '{owner}'",
                ).photos.to_dicts()
            except (InputError, StoreError):
                continue  # the photo has no vector of this encoder
            digests = self._digests([row["photo_id"] for row in found])
            cards = self.album.cards([row | {"sha256": digests.get(row["photo_id"])} for row in found])
            if cards and (own := self.album.cards([query])):
                yield {"query": own[0], "found": cards}

    def _encoders(self) -> list[str]:
        return sql(self.store.database, "select encoder from embeddings order by input, encoder").to_series().to_list()

    def _digests(self, photo_ids: list[str]) -> dict[str, str]:
        known = sql(self.store.database, "select photo_id, sha256 from photos where sha256 is not null")
        return dict(known.filter(known["photo_id"].is_in(photo_ids)).iter_rows())

    def _test(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of `labeled_predictions` for a run, read once per run."""
        run_id = str(run["run_id"])
        if run_id not in self._test_rows:
            with self.store.database.read(query=reads(run)) as con:
                self._test_rows[run_id] = labeled_predictions(con, run)
        return self._test_rows[run_id]


def _file_name(words: str) -> str:
    """Return words with characters that a file name may have."""
    return re.sub(r"[^\w@:.+-]+", "-", words)

"""One HTML file that shows what a store knows: tables 1 to 3, photos ranked by prediction, similar popular photos.

Nothing is loaded from elsewhere: styles are in the file and pictures are small JPEGs inside it. What the store
does not have yet (heads, vectors) is left out.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import InputError, StoreError
from warehouse.layout import write_atomically

if TYPE_CHECKING:
    from features import FeatureStore
    from models.ranking import Cell, Table

__all__ = ["write_report"]

SIDE = 168
"""Of a picture in the report, pixels: half as much again as it is shown, for sharp screens."""

ROWS, COLUMNS = 5, 7
"""Of the gallery: so many quantiles, so many photos of each."""

QUERIES = 3
_SETUPS = {"all": "ALL", "one_face": "1BBOX"}


def write_report(store: FeatureStore, output: Path | None = None) -> Path:
    """Write the report; returns where it lies.

    Args:
        store: with labels.
        output: None: `reports/report.html` of the store.

    Raises:
        StoreError: there is no store, or it was never built.
    """
    from jinja2 import Environment, StrictUndefined

    path = output or store.layout.reports / "report.html"
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        files("app").joinpath("report.html").read_text(encoding="utf-8")
    )
    text = page.render(
        counts=_counts(store),
        written_at=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
        breakdown=store.sql(
            "from gender_breakdown where time_window = 'latest' order by n_swipes desc, sender_gender, recipient_gender"
        ).to_dicts(),
        tables=_tables(store),
        gallery=_gallery(store),
        alike=_alike(store),
    )
    write_atomically(path, text.encode())
    return path


def _counts(store: FeatureStore) -> dict[str, str]:
    names = ("users", "photos", "swipes")
    counts = store.sql("select " + ", ".join(f"(select count(*) from {name}) as {name}" for name in names)).row(0)
    return {name: f"{n:,}" for name, n in zip(names, counts, strict=True)}


def _tables(store: FeatureStore) -> list[dict[str, Any]]:
    """Tables 2 and 3 and whatever else was trained; none before the first head."""
    from models import leaderboard

    try:
        board = leaderboard(store.database)
    except InputError:
        return []
    return [_table(table) for table in board.tables]


def _table(table: Table) -> dict[str, Any]:
    best = max if table.metric == "accuracy" else min
    winners = []
    for column in range(len(_SETUPS)):
        values = [cell.value for row in table.rows if (cell := row.cells[column]) is not None]
        winners.append(best(values) if values else None)
    rows = [
        {
            "encoder": row.encoder,
            "head": row.head,
            "cells": [_cell(cell, winner) for cell, winner in zip(row.cells, winners, strict=True)],
        }
        for row in table.rows
    ]
    floors = [f"{name} {floor:.4f}" for name, floor in zip(_SETUPS.values(), table.floor, strict=True) if floor]
    remark = f"Of the error, the noise of the labels themselves: {', '.join(floors)}." if floors else ""
    return {"title": table.title, "columns": list(_SETUPS.values()), "rows": rows, "floor": remark}


def _cell(cell: Cell | None, winner: float | None) -> dict[str, Any]:
    if cell is None:
        return {"value": "", "interval": "", "best": False}
    interval = "" if cell.low is None else f"{cell.low:.4f} to {cell.high:.4f}"
    return {"value": f"{cell.value:.4f}", "interval": interval, "best": cell.value == winner}


def _gallery(store: FeatureStore) -> dict[str, Any] | None:
    """As fig. 1 of the paper: test photos as ranked, by the best head on dev, of `one_face` if any."""
    run = store.sql("from runs where target = 'like_ratio' order by setup desc, dev, run_id limit 1").to_dicts()
    if not run:
        return None
    ranked = store.sql(
        f"""
        select photo_id, photos.sha256, value as like_ratio, prediction
        from predictions
        inner join photo_labels using (photo_id)
        inner join photos using (photo_id)
        where run_id = '{run[0]["run_id"]}' and split = 'test' and source = 'swipes' and sha256 is not null
        order by prediction desc, photo_id
        """
    ).to_dicts()
    if not ranked:
        return None
    fifths = [ranked[i * len(ranked) // ROWS : (i + 1) * len(ranked) // ROWS][:COLUMNS] for i in range(ROWS)]
    rows = [_with_pictures(store, fifth) for fifth in fifths]
    return {"run": f"{run[0]['encoder']}, {run[0]['head']}", "rows": [row for row in rows if row]}


def _alike(store: FeatureStore) -> dict[str, Any] | None:
    """For photos in the middle of the field: popular ones of others that look like them."""
    encoders = store.sql("select encoder from embeddings order by input, encoder").to_series().to_list()
    if not encoders:
        return None
    queries = store.sql(
        f"""
        select photo_id, photo_labels.user_id, sha256, value as like_ratio
        from photo_labels inner join photos using (photo_id) inner join photo_setups using (photo_id)
        where source = 'swipes' and setup = 'one_face' and sha256 is not null and weight >= 20
        order by abs(percentile - 35), photo_id
        limit {QUERIES}
        """
    ).to_dicts()
    rows = []
    for query in queries:
        owner = query["user_id"].replace("'", "''")
        try:
            found = store.similar(
                query["photo_id"],
                k=COLUMNS - 1,
                encoder=encoders[0],
                popular=True,
                where=f"source = 'swipes' and weight >= 20 and user_id <> '{owner}'",
            )
        except (InputError, StoreError):
            continue  # the photo has no vector of this encoder
        digests = _digests(store, found["photo_id"].to_list())
        photos = [row | {"sha256": digests.get(row["photo_id"])} for row in found.to_dicts()]
        pair = {"query": _with_pictures(store, [query]), "found": _with_pictures(store, photos)}
        if pair["query"] and pair["found"]:
            rows.append({"query": pair["query"][0], "found": pair["found"]})
    return {"encoder": encoders[0], "rows": rows} if rows else None


def _digests(store: FeatureStore, photo_ids: Sequence[str]) -> dict[str, str]:
    known = store.sql("select photo_id, sha256 from photos where sha256 is not null")
    return dict(known.filter(known["photo_id"].is_in(list(photo_ids))).iter_rows())


def _with_pictures(store: FeatureStore, photos: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each photo with its picture; those whose bytes are gone or broken are left out."""
    shown = []
    for photo in photos:
        jpeg = _thumbnail(store.layout.photo(photo["sha256"])) if photo["sha256"] else None
        if jpeg is not None:
            shown.append({"prediction": None, **photo, "jpeg": jpeg})
    return shown


def _thumbnail(path: Path) -> str | None:
    """A small square JPEG in base64; None where there is no picture."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            small = ImageOps.fit(upright.convert("RGB"), (SIDE, SIDE))
    except (OSError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()

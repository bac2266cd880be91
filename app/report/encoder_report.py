"""Comparison of two encoders in one HTML file: overlap, photos whose neighbors differ most, heads, cost.

    1. draw      the overlap, as SVG for the file and as PNG for the folder beside it
    2. show      each moved photo with its neighbors by both encoders; photos that both have are marked
    3. write     the PNGs, then the file

The file loads no other files, as `app.report.report`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from photogenic.app.report.figures import drawing
from photogenic.app.report.figures.overlap_dots import overlap_dots
from photogenic.app.report.page_template import page_template
from photogenic.app.report.photo_cards import Album
from photogenic.models.data.split_config import DEFAULT_SPLIT
from photogenic.models.encoder_change.compare import EncoderComparison
from photogenic.warehouse import Store
from photogenic.warehouse.erasure.tombstones import discard_if_erased
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["write_encoder_report"]

_NEAR = 10
"""Largest number of neighbors that are shown by each encoder."""


def write_encoder_report(store: Store, found: EncoderComparison, output: str | Path) -> Path:
    """Write a comparison, and its figures as PNG into a folder beside it; return the path of the file.

    Args:
        store: store whose photos are shown.
        found: the comparison.
        output: path of the file. The folder has its name with the suffix `-figures`.

    Raises:
        StoreError: people were erased meanwhile; a file inside the store was removed.
    """
    path = Path(output)
    folder = path.with_name(f"{path.stem}-figures")
    is_inside = store.layout.root.resolve() in path.resolve().parents
    with discard_if_erased(store.layout, path, folder) if is_inside else contextlib.nullcontext():
        figures = dict[str, bytes]()
        text = page_template("encoders.html").render(_values(store, found, figures))
        for name, data in figures.items():
            write_atomically(folder / f"{name}.png", data)
        write_atomically(path, text.encode())
    return path


def _values(store: Store, found: EncoderComparison, figures: dict[str, bytes]) -> dict[str, Any]:
    """Return the variables of the template; figures are added as PNG."""
    album, a, b = Album(store.layout), found.encoder_a, found.encoder_b
    dots = overlap_dots(found.overlap)
    if dots is not None:
        figures["overlap"] = drawing.png(dots)
    digests = _digests(store, found)
    moved: list[dict[str, Any]] = [
        {
            "photo_id": one.photo_id,
            "in_common": one.in_common,
            "rbo": f"{one.rbo:.3f}",
            "query": [_photo(digests, one.photo_id, [one.gender or "gender unknown"])],
            "near": [
                (name, [_photo(digests, each, ["in both"] if each in others else []) for each in near[:_NEAR]])
                for name, near, others in (
                    (a, one.neighbours_a, set(one.neighbours_b)),
                    (b, one.neighbours_b, set(one.neighbours_a)),
                )
            ],
        }
        for one in found.moved
    ]
    if moved:
        lines = [
            (f"{one['photo_id']} by {name}: {one['in_common']} of {found.k} in common", [*one["query"], *near])
            for one in moved
            for name, near in one["near"]
        ]
        figures["moved"] = album.sheet(f"Neighbors by {a} and {b}", lines)
    for one in moved:
        one["query"] = album.cards(one["query"])
        one["near"] = [(name, album.cards(near)) for name, near in one["near"]]
    return {
        "a": a,
        "b": b,
        "k": found.k,
        "moment": found.moment,
        "written_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
        "photos": found.photos,
        "overlap": [
            {
                "among": row.among,
                "measure": row.measure,
                "value": _number(row.value),
                "interval": _between(row.low, row.high),
                "by_chance": _number(row.by_chance),
                "counts": [f"{n:,}" for n in (row.n_photos, row.n_owners, row.n_searched)],
            }
            for row in found.overlap
        ],
        "dots": None if dots is None else drawing.svg(dots, f"share of neighbors by {a} and {b} in common, by group"),
        "moved": moved,
        "heads": [
            {
                "what": ", ".join(
                    [row.target, row.setup, *([row.division] if row.division != DEFAULT_SPLIT.name else [])]
                ),
                "head": row.head,
                "encoders": f"{row.encoder_a} and {row.encoder_b}",
                "metric": row.metric,
                "a": f"{row.value_a:.4f}",
                "interval_a": _between(row.low_a, row.high_a),
                "b": f"{row.value_b:.4f}",
                "interval_b": _between(row.low_b, row.high_b),
                "less": f"{row.less:+.4f}",
                "interval": _between(row.less_low, row.less_high),
                "better": {"a": a, "b": b}.get(row.better, "undecided"),
                "n": f"{row.n_photos:,}",
            }
            for row in found.heads
        ],
        "cost": [_cost(row) for row in found.table("cost")],
        "train": found.train,
        "notes": found.notes,
    }


def _digests(store: Store, found: EncoderComparison) -> dict[str, str]:
    ids = {each for one in found.moved for each in (one.photo_id, *one.neighbours_a, *one.neighbours_b)}
    known = store.database.frame(
        "select photo_id, sha256 from photos where sha256 is not null and list_contains($ids, photo_id)",
        {"ids": sorted(ids)},
    )
    return dict(known.iter_rows())


def _photo(digests: Mapping[str, str], photo_id: str, lines: Sequence[str]) -> dict[str, Any]:
    return {"photo_id": photo_id, "sha256": digests.get(photo_id), "says": [photo_id, *lines]}


def _cost(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = {
        "encoder": "encoder",
        "input": "input",
        "dim": "numbers",
        "n_photos": "photos",
        "licence": "license",
        "photo_ms": "ms per photo",
        "network_ms": "of it network",
        "measured": "measured",
        "vector_bytes": "bytes of vectors",
        "index_bytes": "bytes of index",
        "index_kind": "index",
        "p50_ms": "ms per query",
        "recall_at_10": "recall@10",
    }
    return [(title, _shown(row[name])) for name, title in names.items()]


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"

"""Findings of the demo: one table each that compares the store with the values planted in the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from photogenic import FeatureStore
from photogenic._lazy import pl
from photogenic.app.terminal.output import Table
from photogenic.models.evaluation.gender_table import PUBLISHED_BREAKDOWN
from photogenic.models.evaluation.leaderboard import Leaderboard
from photogenic.synthetic.swipes.world import World

__all__ = ["Finding", "accounts", "alike", "faces", "gender", "pictures", "popularity", "swipes", "table_1"]

SURE = 4.0
"""Largest deviation of a ratio from its planted chance, in standard errors."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A table with a remark.

    Attributes:
        agrees: Whether the store agrees with the planted values; None for an estimate.
    """

    title: str
    table: Table
    agrees: bool | None
    remark: str


def accounts(store: FeatureStore, world: World) -> Finding:
    """Compare the rows that were new, known and refused, by file and reason."""
    found = {PurePath(row["source"]).name: row for row in store.sql("from ingests").to_dicts()}
    rejects = {
        (PurePath(row["source"]).name, row["reason"]): row["n"]
        for row in store.sql("select source, reason, count(*) as n from rejects group by all").to_dicts()
    }
    rows, agrees = [], True
    for planted in world.truth.accounts:
        taken = found[planted.file]
        reasons = {reason: n for (file, reason), n in rejects.items() if file == planted.file}
        counts = tuple(taken[name] for name in ("n_read", "n_new", "n_known", "n_refused"))
        n_planted = sum(planted.refused.values())
        agrees &= (*counts, reasons) == (planted.n_read, planted.n_new, planted.n_known, n_planted, planted.refused)
        rows.append((planted.file, *counts, n_planted, len(reasons)))
    return Finding(
        "Files taken in",
        Table(("file", "read", "new", "known", "refused", "planted faults", "reasons"), rows),
        agrees,
        "Each faulty row was refused for the expected reason, and no other row was refused.",
    )


def swipes(store: FeatureStore, world: World) -> Finding:
    """Compare the number of swipes by reason."""
    return _counted(
        "Swipes by reason",
        store.sql("select reason, n_swipes from swipe_audit"),
        world.truth.audit,
        "`kept` counts for the newest photo, as published; `stale_photo` for the photo that was shown then.",
    )


def table_1(store: FeatureStore, world: World) -> Finding:
    """Compare the like ratios by the genders of sender and recipient, from swipes on the newest photos."""
    cells = store.sql("from gender_breakdown where time_window = 'latest'").to_dicts()
    found = {(cell["sender_gender"], cell["recipient_gender"]): cell for cell in cells}
    rows, agrees = [], True
    for pair in world.truth.breakdown:
        if pair.time_window != "latest":
            continue
        cell = found[pair.sender_gender, pair.recipient_gender]
        off = (cell["like_ratio"] - pair.chance) / pair.error
        agrees &= (cell["n_swipes"], cell["n_likes"]) == (pair.n_swipes, pair.n_likes) and abs(off) < SURE
        paper = PUBLISHED_BREAKDOWN.get((pair.sender_gender or "", pair.recipient_gender or ""))
        if paper is not None:
            rows.append(
                (pair.sender_gender, pair.recipient_gender, pair.n_swipes, paper, pair.chance, cell["like_ratio"], off)
            )
    columns = ("sender", "recipient", "swipes", "paper", "planted", "found", "standard errors off")
    return Finding(
        "Table 1: like ratio by gender of sender and recipient",
        Table(columns, rows),
        agrees,
        "Planted: mean like probability of these swipes. Found: observed ratio, which varies by chance.",
    )


def pictures(store: FeatureStore, world: World) -> Finding:
    """Compare the number of pictures by status."""
    return _counted(
        "Pictures",
        store.sql("select status, count(*) as n from photos group by all"),
        world.truth.media,
        "A damaged picture sets the status of its photo; it does not stop the ingest.",
    )


def faces(store: FeatureStore, world: World) -> Finding:
    """Compare the number of detected faces with the number of drawn people, on readable pictures."""
    drawn = _truth(world).select("photo_id", "n_people")
    seen = store.sql(
        """
        select photos.photo_id, count(faces.photo_id) as n_faces
        from photos left join faces using (photo_id)
        where photos.status = 'ok'
        group by photos.photo_id
        """
    ).join(drawn, on="photo_id")
    right = pl.col("n_faces") == pl.col("n_people")
    rows = seen.group_by("n_people").agg(pl.len(), right.sum()).sort("n_people").rows()
    share = sum(n_right for _, _, n_right in rows) / max(len(seen), 1)
    return Finding(
        "Faces",
        Table(("people drawn", "pictures", "as many faces found"), rows),
        None,
        f"The number of faces is correct in {share:.1%} of the pictures.",
    )


def popularity(store: FeatureStore, world: World, board: Leaderboard) -> Finding:
    """Compare the best head on dev of each encoder and setup with the planted rule.

    The explicable error is the error of the constant minus the error of the planted rule. The rest is the noise of
    the swipes.
    """
    rows, most = [], 0.0
    for run in _chosen(board, "like_ratio"):
        floor = _mse_of_rule(store, world, run["run_id"])
        explained = (run["baseline"] - run["test"]) / (run["baseline"] - floor)
        most = max(most, explained)
        place = run["setup"], run["encoder"], run["head"], run["n_test"]
        rows.append((*place, run["baseline"], run["test"], floor, f"{explained:.0%}"))
    return Finding(
        "Like ratio from the picture: mean squared error on test",
        Table(("setup", "encoder", "head", "photos", "constant", "head's", "rule's", "explained"), rows),
        None,
        f"The best head explains {most:.0%} of the explicable variance.",
    )


def gender(board: Leaderboard) -> Finding:
    """Compare the best head on dev of each encoder and setup with the constant, for the gender of the owner."""
    rows = [
        (run["setup"], run["encoder"], run["head"], run["n_test"], run["baseline"], run["test"])
        for run in _chosen(board, "gender")
    ]
    return Finding(
        "Gender from the picture: accuracy on test",
        Table(("setup", "encoder", "head", "photos", "constant", "head's"), rows),
        None,
        "Each head is the best one on dev.",
    )


def alike(store: FeatureStore, world: World, encoder: str) -> Finding:
    """Search popular photos of others that are similar to a woman's photo with a like ratio near 0.5."""
    query = store.sql(
        """
        select photo_labels.photo_id, user_id, value
        from photo_labels inner join photo_setups using (photo_id)
        where source = 'swipes' and setup = 'one_face' and gender = 'female' and weight >= 30
        order by abs(value - 0.5), photo_id
        limit 1
        """
    ).row(0, named=True)
    others = f"source = 'swipes' and weight >= 30 and user_id <> '{query['user_id']}'"
    found = store.searcher.find([query["photo_id"]], k=5, encoder=encoder, popular=True, where=others).photos
    known = dict(_truth(world).select("photo_id", "chance").iter_rows())
    rows = [
        (row["rank"], row["photo_id"], row["distance"], row["like_ratio"], known[row["photo_id"]], int(row["weight"]))
        for row in found.to_dicts()
    ]
    return Finding(
        f"{query['photo_id']} is liked by {query['value']:.0%}: the most similar popular photos of other users",
        Table(("rank", "photo_id", "distance", "like_ratio", "planted", "swipes"), rows),
        None,
        f"Distances between faces by {encoder}. Popular is above the median of all labels, of women and men.",
    )


def _counted(title: str, counts: pl.DataFrame, planted: Mapping[str, int], remark: str) -> Finding:
    """Compare counts by name with the planted ones."""
    found = dict(counts.iter_rows())
    rows = [(name, found.get(name, 0), n) for name, n in planted.items()]
    agrees = all(n == expected for _, n, expected in rows) and found.keys() <= planted.keys()
    return Finding(title, Table((counts.columns[0], "found", "planted"), rows), agrees, remark)


def _chosen(board: Leaderboard, target: str) -> list[dict[str, Any]]:
    """Return the best run on dev of each setup and encoder, which the leaderboard lists first."""
    chosen = board.frame.unique(["target", "setup", "encoder"], keep="first", maintain_order=True)
    return [run for run in chosen.to_dicts() if run["target"] == target]


def _mse_of_rule(store: FeatureStore, world: World, run_id: str) -> float:
    """Return the mean squared error of the planted chance on the test photos of a run, weighted by swipes."""
    tested = store.sql(
        f"""
        select photo_id, value, weight
        from predictions inner join photo_labels using (photo_id)
        where run_id = '{run_id}' and split = 'test' and source = 'swipes'
        """
    ).join(_truth(world).select("photo_id", "chance"), on="photo_id")
    value, chance, weight = (tested[name].to_numpy() for name in ("value", "chance", "weight"))
    return float(((value - chance) ** 2 * weight).sum() / weight.sum())


def _truth(world: World) -> pl.DataFrame:
    return pl.read_parquet(world.truth_photos)

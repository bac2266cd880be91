"""Random relations of the user's own: counts of both logs, intervals, windows, relations over each other, parameters.

A text is a SELECT in the form of a project file. Its result follows from the relations that tests/worlds recounts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.warehouse.definitions.own import sql_file

Columns = dict[str, str]


@dataclass(frozen=True)
class Own:
    """One relation.

    Attributes:
        columns: name -> type.
        keys: the columns of its grain.
        values: values of parameters that `photogenic.toml` gives.
    """

    name: str
    text: str
    reads: tuple[str, ...]
    columns: Columns
    keys: tuple[str, ...]
    values: dict[str, int] = field(default_factory=dict)


class Generator:
    """Draw relations, each of which may read those before it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.own: list[Own] = []

    def draw(self, n: int) -> list[Own]:
        """Return n more relations."""
        shapes: list[tuple[Callable[[], Own | None], int]] = [
            (self._sums_of_swipes, 4),
            (self._sums_of_photo_swipes, 4),
            (self._of_senders, 1),
            (self._turns, 1),
            (self._spells, 1),
            (self._recent, 2),
            (self._owners, 2),
            (self._labels, 1),
            (self._filtered, 2),
            (self._ranked, 1),
            (self._joined, 2),
            (self._at_the_time, 1),
            (self._either, 1),
        ]
        made = list[Own]()
        while len(made) < n:
            shape = self.rng.choices([one for one, _ in shapes], [weight for _, weight in shapes])[0]
            if (own := shape()) is not None:
                made.append(own)
                self.own.append(own)
        return made

    def _make(
        self,
        columns: list[tuple[str, str, str]],
        rest: str,
        reads: str,
        keys: tuple[str, ...],
        *,
        before: str = "",
        **header: str,
    ) -> Own:
        """Return a relation of columns (name, type, expression)."""
        name = f"own_{len(self.own)}"
        lines = [f"    cast({value} as {kind}) as {column}" for column, kind, value in columns]
        body = "".join(f"{line}, -- about {number}\n" for number, line in enumerate(lines[:-1]))
        body += f"{lines[-1]} -- about {len(lines) - 1}\n"
        text = sql_file(name, f"{before}select\n{body}{rest}", reads=reads, grain=", ".join(keys), **header)
        values = {}
        if "least" in header.get("parameters", "") and self.rng.random() < 0.5:
            values["least"] = self.rng.choice([1, 2, 3])
        found = {column: kind for column, kind, _ in columns}
        return Own(name, text, tuple(reads.split(", ")), found, keys, values)

    def _sums_of_swipes(self) -> Own:
        rng = self.rng
        keys = rng.sample(
            [
                ("user_id", "varchar", "swipes.recipient_id"),
                ("sender_id", "varchar", "swipes.sender_id"),
                ("is_liked", "boolean", "swipes.liked"),
                ("minute", "timestamp", "date_trunc('minute', swipes.swiped_at)"),
                ("day", "date", "swipes.swiped_at"),
                ("is_self", "boolean", "swipes.sender_id = swipes.recipient_id"),
            ],
            rng.choice([1, 1, 2, 3]),
        )
        reads, source = "swipes", "swipes"
        if rng.random() < 0.3:
            reads = "swipes, users"
            join = rng.choice(["left join", "inner join", "right join"])
            on = "swipes.recipient_id = users.user_id"
            source = f"users\nright join swipes on {on}" if join == "right join" else f"swipes\n{join} users on {on}"
            keys.append(("gender", "varchar", "users.gender"))
        where = rng.choice(["", "", "where swipes.liked\n", "where minute(swipes.swiped_at) % 2 = 0\n"])
        columns = [*keys, *self._measures("swipes", ["sum(length(swipes.sender_id)::bigint)"])]
        parameters = {}
        if rng.random() < 0.3:
            where = (where or "where true\n") + "and length(swipes.sender_id) >= $least\n"
            parameters = {"parameters": "least = 2"}
        names = tuple(name for name, _, _ in keys)
        before = ""
        if rng.random() < 0.3:
            before = "with chosen as (\n    select * from swipes where length(recipient_id) < 3\n)\n\n"
            source = source.replace("swipes\n", "chosen as swipes\n").replace("join swipes", "join chosen as swipes")
            source = "chosen as swipes" if source == "swipes" else source
        return self._make(
            columns, f"from {source}\n{where}group by all", reads, names, before=before, additive="swipes", **parameters
        )

    def _sums_of_photo_swipes(self) -> Own:
        rng = self.rng
        keys = rng.sample(
            [
                ("photo_id", "varchar", "photo_id"),
                ("reason", "varchar", "reason"),
                ("sender_gender", "varchar", "sender_gender"),
                ("recipient_gender", "varchar", "recipient_gender"),
                ("user_id", "varchar", "recipient_id"),
                ("sender_id", "varchar", "sender_id"),
                ("is_old", "boolean", "photo_age_s > 60"),
            ],
            rng.choice([1, 2, 3]),
        )
        where = rng.choice(["", "", "where reason in ('kept', 'stale_photo')\n", "where photo_id is not null\n"])
        columns = [*keys, *self._measures("photo_swipes", ["sum(photo_age_s)", "sum(main_for_s)"])]
        names = tuple(name for name, _, _ in keys)
        return self._make(
            columns, f"from photo_swipes\n{where}group by all", "photo_swipes", names, additive="photo_swipes"
        )

    def _measures(self, log: str, sums: list[str]) -> list[tuple[str, str, str]]:
        rng = self.rng
        liked = f"{log}.liked"
        known = [
            f"count(*) filter (where {liked})",
            f"count_if(not {liked})",
            f"sum(case when {liked} then 3 else -1 end)",
            *(f"coalesce({one}, 0)" for one in sums),
            *(f"coalesce({one} filter (where {liked}), 0)" for one in sums),
        ]
        more = rng.sample(known, rng.choice([0, 1, 2]))
        found = [("n", "bigint", "count(*)"), *((f"n_{no}", "bigint", one) for no, one in enumerate(more))]
        rng.shuffle(found)
        return found

    def _of_senders(self) -> Own:
        columns = [
            ("user_id", "varchar", "recipient_id"),
            ("n", "bigint", "count(distinct sender_id)"),
            ("first_at", "timestamp", "min(swiped_at)"),
            ("ratio", "double", "cast(count(*) filter (where liked) as double) / count(*)"),
        ]
        return self._make(columns, "from swipes\ngroup by recipient_id", "swipes", ("user_id",))

    def _turns(self) -> Own:
        columns = [
            ("photo_id", "varchar", "photo_id"),
            ("user_id", "varchar", "user_id"),
            ("valid_from", "timestamp", "valid_from"),
            ("valid_to", "timestamp", "valid_to"),
            ("n", "bigint", "row_number() over (partition by user_id order by valid_from)"),
        ]
        keys = ("photo_id", "user_id", "valid_from")
        return self._make(columns, "from photo_periods", "photo_periods", keys, time="[valid_from, valid_to)")

    def _spells(self) -> Own:
        """Return the times between the swipes of a user, as intervals."""
        who = self.rng.choice(["sender_id", "recipient_id"])
        before = (
            f"with instants as (\n    select {who} as who, swiped_at, count(*) as n\n    from swipes\n"
            "    group by all\n)\n\n"
        )
        columns = [
            ("user_id", "varchar", "who"),
            ("valid_from", "timestamp", "swiped_at"),
            ("valid_to", "timestamp", "lead(swiped_at) over (partition by who order by swiped_at)"),
            ("n", "bigint", "sum(n) over (partition by who order by swiped_at)"),
        ]
        return self._make(
            columns, "from instants", "swipes", ("user_id", "valid_from"), before=before, time="[valid_from, valid_to)"
        )

    def _recent(self) -> Own:
        instant = self.rng.choice(["as_of", "observed_at"])
        columns = [("user_id", "varchar", "recipient_id"), ("n", "bigint", "count(*)")]
        where = f"where date_diff('second', swiped_at, clock.{instant}) < $least * 1000\n"
        rest = f"from swipes\ncross join clock\n{where}group by recipient_id"
        return self._make(columns, rest, "swipes, clock", ("user_id",), parameters="least = 2")

    def _owners(self) -> Own:
        table = self.rng.choice(["photos", "like_ratios"])
        extra = {"photos": "sum(photos.likes)", "like_ratios": "sum(like_ratios.n_swipes)"}[table]
        columns = [
            ("user_id", "varchar", "users.user_id"),
            ("followers", "bigint", "users.followers"),
            ("n", "bigint", f"count({table}.photo_id)"),
            ("total", "bigint", extra),
        ]
        rest = (
            f"from users\nleft join {table} on users.user_id = {table}.user_id\ngroup by users.user_id, users.followers"
        )
        return self._make(columns, rest, f"users, {table}", ("user_id",))

    def _labels(self) -> Own:
        columns = [
            ("photo_id", "varchar", "photo_labels.photo_id"),
            ("user_id", "varchar", "photo_labels.user_id"),
            ("n", "bigint", "like_ratios.n_likes"),
            ("value", "double", "like_ratios.like_ratio"),
            ("popular", "boolean", "photo_labels.popular"),
        ]
        rest = (
            "from photo_labels\ninner join like_ratios on photo_labels.photo_id = like_ratios.photo_id\n"
            "where photo_labels.source = 'swipes' and like_ratios.time_window = 'every'"
        )
        return self._make(columns, rest, "photo_labels, like_ratios", ("photo_id",))

    def _some(self, *columns: str) -> Own | None:
        """Return one of the relations before that has these columns."""
        known = [one for one in self.own if {*columns} <= {*one.columns}]
        return self.rng.choice(known) if known else None

    def _filtered(self) -> Own | None:
        one = self._some("n")
        if one is None:
            return None
        columns = [(name, kind, name) for name, kind in one.columns.items()]
        return self._make(columns, f"from {one.name}\nwhere n >= $least", one.name, one.keys, parameters="least = 2")

    def _ranked(self) -> Own | None:
        one = self._some("n")
        if one is None:
            return None
        order = ", ".join(["n desc", *one.keys])
        columns = [(name, one.columns[name], name) for name in one.keys]
        columns.append(("rank_no", "bigint", f"row_number() over (order by {order})"))
        return self._make(columns, f"from {one.name}", one.name, one.keys)

    def _joined(self) -> Own | None:
        one, other = self._some("user_id", "n"), self._some("user_id", "n")
        if one is None or other is None or one is other:
            return None
        before = (
            f"with sums as (\n    select user_id, sum(n) as total\n    from {other.name}\n    group by user_id\n)\n\n"
        )
        columns = [
            ("user_id", "varchar", f"{one.name}.user_id"),
            ("n", "bigint", f"sum({one.name}.n)"),
            ("share", "double", f"cast(sum({one.name}.n) as double) / nullif(max(sums.total), 0)"),
        ]
        join = self.rng.choice(["left join", "inner join"])
        rest = f"from {one.name}\n{join} sums on {one.name}.user_id = sums.user_id\ngroup by {one.name}.user_id"
        return self._make(columns, rest, f"{one.name}, {other.name}", ("user_id",), before=before)

    def _at_the_time(self) -> Own | None:
        """Return the swipes that fall into intervals."""
        one = self._some("user_id", "valid_from", "valid_to", "n")
        if one is None:
            return None
        columns = [
            ("user_id", "varchar", "swipes.recipient_id"),
            ("n", "bigint", f"sum({one.name}.n)"),
            ("n_outside", "bigint", f"count(*) filter (where {one.name}.n is null)"),
        ]
        on = (
            f"swipes.recipient_id = {one.name}.user_id and {one.name}.valid_from <= swipes.swiped_at"
            f" and ({one.name}.valid_to is null or swipes.swiped_at < {one.name}.valid_to)"
        )
        rest = f"from swipes\nleft join {one.name}\n    on {on}\ngroup by swipes.recipient_id"
        return self._make(columns, rest, f"swipes, {one.name}", ("user_id",))

    def _either(self) -> Own | None:
        one, other = self._some("user_id"), self._some("user_id")
        if one is None or other is None or one is other:
            return None
        how = self.rng.choice(["union", "except", "intersect"])
        both = f"    select user_id from {one.name}\n    {how}\n    select user_id from {other.name}\n"
        before = f"with people as (\n{both})\n\n"
        columns = [("user_id", "varchar", "user_id"), ("n", "bigint", "length(user_id)")]
        return self._make(columns, "from people", f"{one.name}, {other.name}", ("user_id",), before=before)

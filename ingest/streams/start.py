"""Where a listener begins: where the store stands, else where the caller says."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from photogenic._lazy import duckdb
from photogenic.ingest.sources.positions import read_positions
from photogenic.warehouse import InputError
from photogenic.warehouse.moment import Moment

__all__ = ["created_again", "start_of", "stored"]

_OTHERS = """
    select distinct source
    from facts.source_positions
    where source <> $1 and starts_with(source, 'kafka://') and try_cast(position as json) ->> '$.topic' = $2
"""


def start_of(text: str) -> Literal["earliest", "latest"] | int:
    """Return where a first start begins: earliest, latest, or milliseconds since 1970.

    Raises:
        InputError: it is something else.
    """
    if text in {"earliest", "latest"}:
        return text  # type: ignore[return-value]
    try:
        at = Moment.of(text).as_of
    except InputError as error:
        raise InputError(
            f"--from is {text[:80]!r}.", "earliest, latest, or a time such as 2026-03-01T06:00Z", "--from earliest"
        ) from error
    return max(int(at.replace(tzinfo=dt.UTC).timestamp() * 1000), 0)


def stored(con: duckdb.DuckDBPyConnection, source: str, topic_id: str | None, *, forget: bool) -> dict[str, Any]:
    """Return the position of each partition in the store, by its number.

    A topic that was read by the address of other brokers keeps its positions.

    Args:
        con: writing connection, without an open transaction.
        source: address of the topic.
        topic_id: its id; None: the broker gives no ids.
        forget: whether to remove the positions.

    Raises:
        InputError: the store holds positions of another topic of the same name.
    """
    con.begin()
    if topic_id is not None and not read_positions(con, source):
        others = con.execute(_OTHERS, [source, topic_id]).fetchall()
        if len(others) == 1:
            con.execute("update facts.source_positions set source = $1 where source = $2", [source, *others[0]])
    if forget:
        con.execute("delete from facts.source_positions where source = $1", [source])
    con.commit()
    held = read_positions(con, source)
    if topic_id is not None and any(value.get("topic") not in {None, topic_id} for value in held.values()):
        raise created_again(source)
    return held


def created_again(source: str) -> InputError:
    """Return the error for a topic that is another one than that of which the store holds offsets."""
    return InputError(
        f"{source}: the topic was created again, or the broker lost everything: the offsets in the store are of "
        "another topic of this name.",
        "the topic whose offsets the store holds; nothing was read",
        "features listen ... --start-over --from earliest reads the new topic from its beginning; events that the "
        "store has are not added twice",
    )

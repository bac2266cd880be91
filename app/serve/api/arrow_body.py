"""Read queries from the body of a request: a stream of Arrow IPC with one column of photo ids or vectors.

The bytes come from strangers. The schema is checked before a batch is read, compressed batches are refused (a few bytes
could become gigabytes), and each batch is validated in full.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from photogenic._lazy import pa
from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.features.similar_many.lists import block_of_lists
from photogenic.features.similar_many.queries import PhotoId, QueryBlock

__all__ = ["ARROW", "queries_of"]

ARROW = "application/vnd.apache.arrow.stream"
"""Media type of a stream of Arrow IPC."""

_LONGEST_ID = 1_024
_LONGEST_VECTOR = 1 << 20
_REMEDY = "send a table with one column: photo_id (string), or embedding (list of float), optionally named by photo_id"


def queries_of(data: bytes, limits: Limits) -> list[QueryBlock]:
    """Return the queries of a stream, one block per batch.

    Raises:
        ApiError: It is no sound stream, it has other columns, or too many rows.
    """
    try:
        return list(_blocks(pa.BufferReader(data), limits))
    except (pa.ArrowException, OSError, ValueError, IndexError, struct.error, OverflowError) as error:
        if isinstance(error, ApiError):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise ApiError("bad_request", f"The body is no sound stream of Arrow: {reason}", _REMEDY) from error


def _blocks(source: pa.BufferReader, limits: Limits) -> Iterator[QueryBlock]:
    messages = pa.ipc.MessageReader.open_stream(source)
    each = _each(messages)
    first = next(each, None)
    if first is None or first.type != "schema":
        raise _refused("it does not begin with a schema")
    schema = pa.ipc.read_schema(first)
    column = _checked(schema)
    n_rows = 0
    for message in each:
        if message.type != "record batch":
            raise _refused(f"it has a message of type {message.type}")
        if _is_compressed(message.metadata):
            raise _refused("its batches are compressed")
        batch = pa.ipc.read_record_batch(message, schema)
        n_rows += batch.num_rows
        if n_rows > limits.similar_queries:
            raise ApiError(
                "bad_request",
                f"The body has more than {limits.similar_queries:,} queries.",
                "send several requests",
            )
        batch.validate(full=True)
        named = batch.column("photo_id").to_pylist() if "photo_id" in schema.names else [None] * batch.num_rows
        if max((len(name) for name in named if name is not None), default=0) > _LONGEST_ID:
            raise _refused(f"a photo_id has more than {_LONGEST_ID:,} characters")
        if column == "embedding":
            yield block_of_lists(batch.column("embedding"), named, n_rows - batch.num_rows)
        else:
            blank = {at: ("no_query", "NULL") for at, name in enumerate(named) if name is None}
            queries = [None if name is None else PhotoId(name) for name in named]
            yield QueryBlock([name or "" for name in named], queries, blank)


def _each(messages: pa.ipc.MessageReader) -> Iterator[pa.ipc.Message]:
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            return
        yield message


def _checked(schema: pa.Schema) -> str:
    """Return the column of the queries.

    Raises:
        ApiError: The columns are others.
    """
    names = schema.names
    if sorted(names) not in (["photo_id"], ["embedding"], ["embedding", "photo_id"]):
        shown = ", ".join(name[:40] for name in names[:10]) or "none"
        raise _refused(f"its columns are {shown}")
    if "photo_id" in names and not (
        pa.types.is_string(kind := schema.field("photo_id").type) or pa.types.is_large_string(kind)
    ):
        raise _refused(f"photo_id is of type {str(kind)[:80]}")
    if "embedding" not in names:
        return "photo_id"
    kind = schema.field("embedding").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise _refused(f"embedding is of type {str(kind)[:80]}")
    if pa.types.is_fixed_size_list(kind) and not 0 < kind.list_size <= _LONGEST_VECTOR:
        raise _refused(f"embedding has lists of {kind.list_size:,} numbers")
    return "embedding"


def _refused(why: str) -> ApiError:
    return ApiError("bad_request", f"The body cannot be read as queries: {why}.", _REMEDY)


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether the buffers of a record batch are compressed: the table `RecordBatch` of its message has the field 3.

    The message is a FlatBuffer of Apache Arrow (format/Message.fbs): a root table with the header as field 2.
    """
    data = metadata.to_pybytes()
    (root,) = struct.unpack_from("<I", data)
    header = _field(data, root, 2)
    if header is None:
        return False
    (offset,) = struct.unpack_from("<I", data, header)
    return _field(data, header + offset, 3) is not None


def _field(data: bytes, table: int, number: int) -> int | None:
    """Position of a field of a table in a FlatBuffer; None if it is absent."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    if vtable < 0:
        raise ValueError("a table has no fields")
    (size,) = struct.unpack_from("<H", data, vtable)
    place = 4 + 2 * number
    if place + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", data, vtable + place)
    return table + offset if offset else None

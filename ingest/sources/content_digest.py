"""SHA-256 of the content of Arrow rows, whatever batches they come in.

It depends on the names, order and types of the columns, and on the values and NULLs of all rows in their order. It does
not depend on the sizes of batches, on whether strings and lists are stored as plain, large, views or dictionaries, on
what lies under a NULL, nor on metadata. Columns of maps, unions and runs are digested as Arrow writes them.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from photogenic._lazy import pa, pc

__all__ = ["BLOCK", "ContentDigest"]

BLOCK = 1 << 17
"""Number of rows that are digested together. Another number would give other digests."""

_LARGE = {"large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary"}


class ContentDigest:
    """The digest of rows that come in batches of any size."""

    def __init__(self, schema: pa.Schema) -> None:
        named = [[field.name, _plain_name(field.type)] for field in schema]
        self._hash = hashlib.sha256(json.dumps(named).encode())
        self._held, self._n_held = list[pa.RecordBatch](), 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the next rows."""
        at = 0
        while at < batch.num_rows:
            part = batch.slice(at, BLOCK - self._n_held)
            at += part.num_rows
            self._held.append(part)
            self._n_held += part.num_rows
            if self._n_held == BLOCK:
                self._digest_block()

    def hexdigest(self) -> str:
        """Return the digest of all rows; nothing can be added after it."""
        if self._held:
            self._digest_block()
        return self._hash.hexdigest()

    def _digest_block(self) -> None:
        self._hash.update(struct.pack("<q", self._n_held))
        for number in range(self._held[0].num_columns):
            arrays = [batch.column(number) for batch in self._held]
            for octets in _octets(arrays[0] if len(arrays) == 1 else _joined(arrays)):
                self._hash.update(octets)
        self._held, self._n_held = [], 0


def _octets(array: pa.Array) -> Iterator[Any]:
    """Yield what the digest of an array depends on, in a form that depends on the values only."""
    array = _plain(array)
    type_, types = array.type, pa.types
    if types.is_null(type_):
        return
    if not _is_flat(type_) and not types.is_struct(type_) and not _is_list(type_):
        yield _written(array)
        return
    yield struct.pack("<qq", len(array), array.null_count)
    if array.null_count:
        yield np.packbits(array.is_valid().to_numpy(zero_copy_only=False))
    if types.is_struct(type_):
        for inner in array.flatten():
            yield from _octets(inner)
        return
    if array.null_count:
        array = array.drop_null()
    if _is_list(type_):
        yield from _octets(pc.list_value_length(array).cast(pa.int32(), safe=False))
        yield from _octets(array.flatten())
    elif types.is_boolean(type_):
        yield np.packbits(array.to_numpy(zero_copy_only=False))
    elif types.is_fixed_size_binary(type_) or types.is_primitive(type_) or types.is_decimal(type_):
        width = type_.bit_width // 8
        yield array.buffers()[1].slice(array.offset * width, len(array) * width)
    elif len(array):
        is_large = types.is_large_string(type_) or types.is_large_binary(type_)
        ends = np.frombuffer(array.buffers()[1], np.int64 if is_large else np.int32)
        ends = ends[array.offset : array.offset + len(array) + 1]
        yield np.diff(ends).astype(np.uint32)
        if array.buffers()[2] is not None:
            yield array.buffers()[2].slice(int(ends[0]), int(ends[-1] - ends[0]))


def _plain(array: pa.Array) -> pa.Array:
    """Return the same values in a plain layout."""
    types = pa.types
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if types.is_dictionary(array.type):
        values = _plain(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    if types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if types.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    return array


def _joined(arrays: list[pa.Array]) -> pa.Array:
    """Join arrays; those of dictionaries may each have their own."""
    return pa.concat_arrays([_plain(array) for array in arrays])


def _is_flat(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_primitive(type_)
        or types.is_decimal(type_)
        or types.is_fixed_size_binary(type_)
        or types.is_string(type_)
        or types.is_large_string(type_)
        or types.is_binary(type_)
        or types.is_large_binary(type_)
    )


def _is_list(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_))


def _written(array: pa.Array) -> pa.Buffer:
    """Return an array as Arrow writes it."""
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_arrays([array], names=[""])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _plain_name(type_: pa.DataType) -> str:
    """Return the name of a type, without the layout of its values."""
    if isinstance(type_, pa.BaseExtensionType):
        return f"{type_.extension_name}: {_plain_name(type_.storage_type)}"
    if pa.types.is_dictionary(type_):
        return _plain_name(type_.value_type)
    if pa.types.is_struct(type_):
        inner = (f"{field.name!r}: {_plain_name(field.type)}" for field in type_)
        return f"struct({', '.join(inner)})"
    if _is_list(type_):
        return f"list({_plain_name(type_.value_type)})"
    name = str(type_)
    return _LARGE.get(name, name)

"""Queries that read a file as it is: each row with its line, and the reason if it is broken as a row."""

from __future__ import annotations

import json
from collections.abc import Collection

from photogenic.ingest.readers import parquet_schema
from photogenic.ingest.readers.ndjson_objects import pointer
from photogenic.ingest.readers.source_files import Field, Source
from photogenic.ingest.tabular.parsing import literal, remedy, shown
from photogenic.warehouse import InputError

__all__ = ["aliases", "detail", "given", "raw"]


_INSTANTS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}


def given(source: Source, far: Collection[int] = ()) -> str:
    """The query: line, reason why it is broken, text of broken rows, and the fields f0, f1... as they are.

    Args:
        source: the file.
        far: numbers of the fields to take from the table `far_instants` (parquet_timestamps.py); those inside lists and
            structures are left out.

    Raises:
        InputError: a mapped value lies inside such a column.
    """
    for number in source.bound.values():
        if (places := source.fields[number].places) and places[0] in far:
            raise InputError(
                f"{source.name}: a time inside {source.fields[places[0]].name!r} is out of range for DuckDB.",
                f"times that fit, in the column of {source.fields[number].name!r}",
                "write the value to a column of its own",
            )
    if source.format in {"parquet", "frame"}:
        plain = {number for number in far if source.fields[number].type in _INSTANTS}
        fields = "".join(
            f", {_as_given(number, field, far)} as f{number}"
            for number, field in enumerate(source.fields)
            if number not in plain
        )
        query = f"""
            select line + 1 as line, {_broken_json(source)}{fields}
            from {parquet_schema.table_function(source.scanned, with_lines=True)} as given({aliases(source)}, line)"""
        if plain:
            query = f"select * from ({query}) join far_instants using (line)"
        return query
    fixed = "".join(
        f", {_constant(field)} as f{number}"
        for number, field in enumerate(source.fields)
        if field.partition is not None and (source.format == "csv" or number in source.bound.values())
    )
    if source.format == "ndjson":
        paths = {number: source.fields[number].path for number in _found(source)}
        pointers = ", ".join(literal(pointer(path)) for path in paths.values())
        fields = "".join(f", found[{place}] as f{number}" for place, number in enumerate(paths, 1))
        query = f"""
            select line, {_broken_object(source)} as broken, coalesce(text, row_text) as text, row_text{fields}{fixed}
            from (
                select line, broken, text, f0 as row_text,
                    case when try(json_type(f0)) = 'OBJECT'
                        then json_extract_string(f0, [{pointers}]::varchar[]) end as found
                from records
            )"""
    else:
        query = f"select *{fixed} from records"
    return query


def raw(source: Source, *, only_ours: bool = False) -> str:
    """The expression of a row as JSON; long values are cut, so that the result is valid JSON.

    Args:
        source: the file.
        only_ours: whether to leave out columns that are not ours, and all text of broken rows.
    """
    if only_ours:
        ours = sorted(source.bound.values())
        pairs = (f"{literal(source.fields[n].name)}, left({shown(source.fields[n].type, f'f{n}')}, 1000)" for n in ours)
        return f"case when broken is null then json_object({', '.join(pairs)}) end"
    if source.format == "ndjson":
        text = "row_text" if source.picture is None else _without_picture(source.fields[source.picture].path)
        row = f"case when strlen({text}) <= 65536 then {text} else to_json(left({text}, 4096)) end"
    else:
        pairs = (
            f"{literal(field.name)}, left({shown(field.type, f'f{number}')}, 1000)"
            for number, field in enumerate(source.fields)
            if not field.places and not _holds_picture(source, number)  # those are in their column
        )
        row = f"json_object({', '.join(pairs)})"
    # A broken row of a source with pictures may be a part of one.
    broken = "to_json(left(text, 4096))" if source.picture is None else "null"
    return f"case when broken is null then {row} else {broken} end"


def detail(source: Source) -> str:
    """The expression of the invalid value, as it is in the file."""
    arms = []
    for column in source.columns:
        number = source.bound[column.name]
        type_, field = source.fields[number].type, f"f{number}"
        text = f"left({shown(type_, field)}, 200) || {remedy(column, type_, field)}"
        arms.append(f"when '{column.name}' then {text}")
    return f"case split_part(problem, ':', 2) {' '.join(arms)} end"


def _holds_picture(source: Source, number: int) -> bool:
    """Whether a column of the file is that of the pictures, or has it inside."""
    if source.picture is None:
        return False
    return number == source.picture or source.fields[source.picture].places[:1] == (number,)


def _without_picture(path: tuple[str, ...]) -> str:
    """The expression of an object of NDJSON without the value at a path."""
    patch: object = None
    for key in reversed(path):
        patch = {key: patch}
    return f"cast(json_merge_patch(row_text, {literal(json.dumps(patch))}) as varchar)"


def aliases(source: Source) -> str:
    """Our alias for each column, by position: the file's names may be empty, or equal to another one."""
    return ", ".join(f"f{number}" for number in range(source.n_columns))


def _as_given(number: int, field: Field, far: Collection[int]) -> str:
    """The expression of a Parquet column by position, cast where its own type is not usable."""
    if field.partition is not None:
        return _constant(field)
    if number in far:
        return f"cast(null as {field.type})"
    if field.keys:
        return f"try(json_extract_string(f{field.places[0]}, {literal(pointer(field.keys))}))"
    given = parquet_schema.extract(f"f{field.places[0]}", field.places[1:]) if field.places else f"f{number}"
    if field.uuids is not None:
        return f"text_of_uuids({given}, {str(field.uuids == 'all').lower()})"
    return f"cast({given} as {field.type})" if field.is_null else given


def _broken_json(source: Source) -> str:
    """The expressions of the reason why a row of Parquet is broken, and its text: an object inside JSON for an id."""
    arms, outer = list[str](), dict[int, str]()
    for column, number in source.bound.items():
        field = source.fields[number]
        if field.keys and source.table.column(column).type in {"id", "text"}:
            at = f"f{field.places[0]}"
            arms.append(f"try(json_type({at}, {literal(pointer(field.keys))})) in ('OBJECT', 'ARRAY')")
            outer[field.places[0]] = at
    if not arms:
        return "cast(null as varchar) as broken, cast(null as varchar) as text"
    is_nested = " or ".join(arms)
    text = f"concat_ws(' ', {', '.join(outer.values())})"
    return f"""case when {is_nested} then 'nested_value' end as broken, case when {is_nested} then {text} end as text"""


def _constant(field: Field) -> str:
    """The expression of a value in the name of a folder."""
    value = field.partition[0] if field.partition else None
    return f"cast({'null' if value is None else literal(value)} as varchar)"


def _found(source: Source) -> list[int]:
    """The numbers of the fields that are read from objects of NDJSON."""
    numbers = [number for number in source.bound.values() if source.fields[number].partition is None]
    return numbers if source.picture is None else [*numbers, source.picture]


def _broken_object(source: Source) -> str:
    """The expression of the reason why a line is broken as an object."""
    arms = ["when broken is null and found is null then 'bad_json'"]
    if source.repeats_keys:
        arms.append("when list_unique(json_keys(row_text)) < len(json_keys(row_text)) then 'repeated_key'")
    paths = {source.fields[number].path for number in _found(source)}
    for outer in sorted({path[:n] for path in paths for n in range(1, len(path))}):
        keys = f"json_keys(row_text, {literal(pointer(outer))})"
        arms.append(f"when list_unique({keys}) < len({keys}) then 'repeated_key'")
    columns = [column for column, number in source.bound.items() if source.fields[number].partition is None]
    for place, column in enumerate(columns, 1):
        if source.table.column(column).type in {"id", "text"}:
            at = literal(pointer(source.fields[source.bound[column]].path))
            is_nested = f"json_type(row_text, {at}) in ('OBJECT', 'ARRAY')"
            # Nearly no id begins like this; only for those the object is parsed again.
            begins = f"starts_with(found[{place}], '{{') or starts_with(found[{place}], '[')"
            arms.append(f"when case when {begins} then {is_nested} else false end then 'nested_value'")
    return f"case {' '.join(arms)} else broken end"

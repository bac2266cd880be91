"""The splitter of text files compared with Python's csv reader, and with itself for other block sizes."""

import csv
import io

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from photogenic.ingest.readers import text_records
from photogenic.ingest.readers.text_records import Records

QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
VALUES = st.text(st.sampled_from('ab",; \n\réä🙂'), max_size=6)


def split(data, n_fields=3, block=8 << 20, separator=","):
    before, text_records._BLOCK = text_records._BLOCK, block
    try:
        taken = Records(io.BytesIO(data), n_fields=n_fields, wanted=range(n_fields), separator=separator)
        rows = [tuple(row.values()) for row in taken.reader().read_all().to_pylist()]
    finally:
        text_records._BLOCK = before
    assert taken.n_records == len(rows)
    return sorted(rows, key=lambda row: row[0])


@QUICK
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=8), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_quoted_fields_are_read_back_with_their_line(rows, end):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    reader = csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True)
    expected, line = [], 1
    for row in reader:
        expected.append((line, None, None, *row))
        line = reader.line_num + 1
    assert split(text.getvalue().encode()) == expected


@QUICK
@given(data=st.text(st.sampled_from('ab",,\n\n\ré'), max_size=60), block=st.integers(1, 9))
@example(data='a,"b\r', block=5)
@example(data='"a\n"b\n"c",d,e\n', block=4)
def test_the_size_of_blocks_changes_nothing(data, block):
    assert split(data.encode(), block=block) == split(data.encode())


@QUICK
@given(data=st.binary(max_size=80), block=st.integers(1, 9))
def test_any_bytes_are_split_into_records(data, block):
    """Each line that is not blank is in exactly one record."""
    rows = split(data, block=block)
    lines = [row[0] for row in rows]
    assert lines == sorted(set(lines))
    assert all((reason is None) == (text is None) for _, reason, text, *_ in rows)


@QUICK
@given(rows=st.lists(st.lists(st.sampled_from(["a", "5in", ""]), min_size=1, max_size=5), max_size=6))
def test_rows_of_another_length_are_broken(rows):
    data = "".join(",".join(row) + "\n" for row in rows).encode()
    expected = {}
    for line, row in enumerate(rows, 1):
        if row != [""]:
            expected[line] = (
                {True: "too_few_columns", False: "too_many_columns"}[len(row) < 3] if len(row) != 3 else None
            )
    assert {line: reason for line, reason, *_ in split(data)} == expected

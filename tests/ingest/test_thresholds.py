"""Thresholds of an ingest: shares and numbers of refused rows, least rows, and files that were taken in before."""

import dataclasses
from fractions import Fraction

import pytest

from photogenic import FeatureStore
from photogenic.ingest.tabular.report import IngestReport, total_line
from photogenic.ingest.thresholds import MaxRefused, Thresholds, enforce
from photogenic.warehouse.errors import InputError, ThresholdError
from tests.ingest.ingest_store import SWIPES


def report(n_read, **refused):
    return IngestReport("swipes", "a.csv", n_read=n_read, n_new=n_read - sum(refused.values()), refused=refused)


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    def write(name, *rows, head=SWIPES):
        path = tmp_path / name
        path.write_text(head + "".join(f"{row}\n" for row in rows))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "share", "rows"),
    [
        ("1%", Fraction(1, 100), None),
        ("0.5 %", Fraction(1, 200), None),
        ("0%", Fraction(0), None),
        ("100%", Fraction(1), None),
        (0.01, Fraction(1, 100), None),
        ("1.0", Fraction(1), None),
        ("0", None, 0),
        (100, None, 100),
        (" 7 ", None, 7),
    ],
)
def test_shares_and_numbers_of_rows(text, share, rows):
    assert MaxRefused.of(text) == MaxRefused(share, rows)


@pytest.mark.parametrize(
    "text",
    [
        *("nan", "nan%", "-1%", "-1", "101%", "100.1%", "1e9", "1e9%", "inf", "", "%", "1.5", "٣%", "1%%", "1% or so"),
        *("1\n2", "1" * 400, "9" * 16, True, float("nan"), float("inf"), -0.5, 2.5),
    ],
)
def test_hostile_thresholds_are_refused_with_an_example(text):
    with pytest.raises(InputError, match="--max-refused is") as caught:
        MaxRefused.of(text)
    assert len(caught.value.what) < 100
    assert caught.value.remedy == "--max-refused 1%"


@pytest.mark.parametrize("least", [-1, 10**16, 1.5, True, float("nan")])
def test_hostile_least_rows_are_refused(least):
    with pytest.raises(InputError, match="--least-rows is"):
        Thresholds.of(least_rows=least)


@pytest.mark.parametrize(
    ("limit", "n_refused", "n_read", "exceeded"),
    [
        ("1%", 1, 100, False),
        ("1%", 2, 100, True),
        ("0.7%", 7, 1000, False),
        ("0%", 0, 100, False),
        ("0%", 1, 10**9, True),
        ("0%", 0, 0, False),
        ("100%", 5, 5, False),
        ("3", 3, 3, False),
        ("3", 4, 10**9, True),
    ],
)
def test_a_threshold_is_the_most_that_is_fine(limit, n_refused, n_read, exceeded):
    assert MaxRefused.of(limit).is_exceeded(n_refused, n_read) is exceeded


def test_the_share_is_of_all_files_of_a_call():
    good, bad = report(98), report(2, bad_liked=2)
    enforce("swipes", [good, bad], Thresholds(max_refused="2%"))
    with pytest.raises(ThresholdError, match=r"2 of 100 rows of swipes \(2 %\) were refused: bad_liked 2"):
        enforce("swipes", [good, bad], Thresholds(max_refused="1%"))


def test_rows_that_are_refused_as_they_should_be_do_not_count():
    reports = [report(100, superseded=60, erased=30, bad_time=1)]
    enforce("users", reports, Thresholds(max_refused="1%"))
    with pytest.raises(ThresholdError, match="bad_time 1"):
        enforce("users", reports, Thresholds(max_refused=0))
    with pytest.raises(ThresholdError, match="9 rows of users came"):
        enforce("users", reports, Thresholds(least_rows=10))


def test_3000_rows_of_nonsense_fail_and_say_what_to_do(store, write):
    path = write("a.csv", *(f"a{n},b,glorp,2024-01-01" for n in range(3000)))
    with pytest.raises(ThresholdError) as caught:
        store.ingest_swipes(path, max_refused="1%", least_rows=1)
    error = caught.value
    assert "3,000 of 3,000 rows of swipes (100 %) were refused: bad_liked 3,000, for example in" in error.what
    assert "0 rows of swipes came" in error.what
    assert error.exit_code == 3
    assert [(one.n_read, one.n_refused) for one in error.reports] == [(3000, 3000)]
    query = error.remedy.removeprefix('features sql "').removesuffix('"')
    assert store.sql(query)["line"].to_list() == [2, 3, 4, 5, 6]


def test_good_rows_stay_and_the_same_call_again_fails_again(store, write):
    files = [write("a.csv", "a,b,yes,2024-01-01"), write("b.csv", "a,c,glorp,2024-01-01")]
    for _ in range(2):
        with pytest.raises(ThresholdError):
            store.ingest_swipes(*files, max_refused="10%")
        assert store.sql("select count(*) from swipes").item() == 1
    assert [one.repeated for one in store.ingest_swipes(*files, max_refused="50%", least_rows=1)] == [True, True]


def test_a_full_export_again_is_no_refusal_and_no_shortage(store, write):
    rows = [f"a{n},b,yes,2024-01-01" for n in range(500)]
    store.ingest_swipes(write("first.csv", *rows))
    for night in ("second.csv", "third.csv"):
        [again] = store.ingest_swipes(
            write(night, *rows, f"{night},b,yes,2024-01-02"), max_refused="0%", least_rows=501
        )
        assert (again.n_read, again.n_new, again.n_known, again.n_refused) == (501, 1, 500, 0)
    assert store.sql("select count(*) from rejects").item() == 0


def test_users_again_have_the_account_of_swipes(store, write):
    rows = [f"u{n},f" for n in range(20)]
    store.ingest_users(write("users.csv", *rows, head="user_id,gender\n"))
    [again] = store.ingest_users(write("again.csv", *rows, "new,m", head="user_id,gender\n"), least_rows=21)
    assert (again.n_read, again.n_new, again.n_known, again.n_refused) == (21, 1, 20, 0)


def test_a_file_with_a_header_only_is_too_few_rows_but_none_refused(store, write):
    empty = write("empty.csv")
    assert store.ingest_swipes(empty, max_refused="0%", least_rows=0)[0].n_read == 0
    with pytest.raises(ThresholdError, match="0 rows of swipes came and were not refused"):
        store.ingest_swipes(empty, max_refused="0%", least_rows=1)


def test_a_wrong_threshold_is_found_before_anything_is_taken_in(store, write):
    with pytest.raises(InputError, match="--max-refused"):
        store.ingest_swipes(write("a.csv", "a,b,yes,2024-01-01"), max_refused="101%")
    assert not store.layout.snapshot.exists()


def test_the_total_adds_up_all_files():
    known = dataclasses.replace(report(0), repeated=True, n_read_before=7)
    line = total_line([report(1000, bad_liked=2, bad_time=5), report(500, bad_liked=4), known])
    assert line == (
        "3 files: 1,500 read = 1,489 new + 0 corrected + 0 retracted + 0 known + 11 refused (bad_liked 6, bad_time 5); "
        "1 of the files were taken in before"
    )


def test_counts_of_outcomes_stand_in_commands(store, write):
    store.ingest_swipes(write("a.csv", "a,b,yes,2024-01-01", "a,c,glorp,2024-01-01"))
    found = store.sql("select stages->'swipes'->0 as n, stages->'swipes'->2 as counts from commands").row(0)
    assert found == ("2", '{"new":1,"refused bad_liked":1}')

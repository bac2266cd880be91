"""Events that change: corrections, retractions, ids, and rows that arrive late, seen by the clock of arrival."""

import datetime as dt
import json
import os
import signal

import pytest

from photogenic import FeatureStore
from photogenic.ingest.tabular import event_rows
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import ThresholdError
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

HEAD = "event_id,sender_id,recipient_id,liked,swiped_at,deleted\n"
PHOTOS = "user_id,photo_id,set_at\n"
DAY = "2024-01-01"


@pytest.fixture(params=[None, 1], ids=["at once", "in parts"])
def store(tmp_path, request, monkeypatch):
    """A store that compares the rows of a file at once, or divided by their events, as those of large files are."""
    if request.param:
        monkeypatch.setattr(event_rows, "_PART", request.param)
    return StoreWithFiles(tmp_path)


def counts(report):
    assert report.n_read == sum(
        (report.n_new, report.n_corrected, report.n_retracted, report.n_known, report.n_refused)
    )
    return report.n_new, report.n_corrected, report.n_retracted, report.n_known


def take(store, text, kind="swipes", **options):
    store.n_files = getattr(store, "n_files", 0) + 1
    return store.take_text(kind, text, f"{store.n_files}.csv", **options)


def liked(store, known_at="9999-12-31"):
    """What was known of swipes before an instant: id or sender -> liked."""
    rows = store.rows(
        f"""
        with known as (
            select event_id, sender_id, liked from facts.swipes where ingested_at < timestamp '{known_at}'
            union all
            select event_id, sender_id, liked from facts.replaced_swipes
            where ingested_at < timestamp '{known_at}' and replaced_at >= timestamp '{known_at}'
        )
        select coalesce(event_id, sender_id), liked from known
        """
    )
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_the_later_arrival_counts_and_the_former_is_seen_as_it_was_known(store):
    """A swipe that was corrected used to count twice."""
    assert counts(take(store, SWIPES + f"a,b,1,{DAY}\n")) == (1, 0, 0, 0)
    between = store.now + dt.timedelta(minutes=30)
    assert counts(take(store, SWIPES + f"a,b,0,{DAY}\n")) == (0, 1, 0, 0)
    assert liked(store) == {"a": False}
    assert liked(store, between) == {"a": True}
    assert counts(take(store, SWIPES + f"a,b,1,{DAY}\n" + "z,b,1,2024-01-02\n")) == (1, 1, 0, 0)
    assert store.rows("select count(*) from facts.swipes") == [(2,)]
    assert store.rows("select batch, replaced_batch from facts.replaced_swipes order by batch") == [(1, 2), (2, 3)]


def test_an_event_is_named_by_its_id_whatever_else_changes(store):
    take(store, HEAD + f"e1,a,b,1,{DAY},\ne2,a,b,1,{DAY},\n")
    assert liked(store) == {"e1": True, "e2": True}
    assert counts(take(store, HEAD + "e1,a,c,1,2024-01-02,\n")) == (0, 1, 0, 0)
    assert store.rows("select recipient_id from facts.swipes where event_id = 'e1'") == [("c",)]


def test_an_id_that_is_new_takes_on_the_event_of_its_key(store):
    take(store, SWIPES + f"a,b,1,{DAY}\n")
    assert counts(take(store, HEAD + f"e1,a,b,1,{DAY},\n")) == (0, 0, 0, 1)
    assert liked(store) == {"e1": True}
    assert counts(take(store, SWIPES + f"a,b,0,{DAY}\n")) == (0, 1, 0, 0)
    assert liked(store) == {"e1": False}
    assert store.rows("select event_id from facts.replaced_swipes") == [("e1",)]


def test_a_row_without_an_id_is_the_event_of_the_least_id(store):
    take(store, HEAD + f"e2,a,b,1,{DAY},\ne1,a,b,1,{DAY},\n")
    assert counts(take(store, SWIPES + f"a,b,0,{DAY}\n")) == (0, 1, 0, 0)
    assert liked(store) == {"e1": False, "e2": True}


def test_a_row_that_takes_back_without_an_id_takes_back_all_events_of_its_key(store):
    take(store, HEAD + f"e2,a,b,1,{DAY},\ne1,a,b,1,{DAY},\ne3,a,c,1,{DAY},\n")
    assert counts(take(store, f"sender_id,recipient_id,swiped_at\na,b,{DAY}\n", retract=True)) == (0, 0, 1, 0)
    assert liked(store) == {"e3": True}


def test_changes_of_one_event_in_one_file_count_in_the_order_of_lines(store):
    rows = f"e1,a,b,1,{DAY},\ne1,a,b,0,{DAY},0\ne1,,,,,true\ne2,a,c,1,{DAY},\ne2,a,c,1,{DAY},\ne2,a,c,0,{DAY},\n"
    assert counts(take(store, HEAD + rows)) == (2, 2, 1, 1)
    assert liked(store) == {"e2": False}
    assert store.rows("select count(*) from facts.replaced_swipes") == [(0,)]


def test_what_was_taken_back_is_new_when_it_is_stated_again(store):
    take(store, SWIPES + f"a,b,1,{DAY}\n")
    assert counts(take(store, f"sender_id,recipient_id,swiped_at\na,b,{DAY}\n", retract=True)) == (0, 0, 1, 0)
    assert liked(store) == {}
    taken = take(store, f"swiped_at,sender_id,recipient_id\n{DAY},a,b\n{DAY},x,y\n", retract=True)
    assert counts(taken) == (0, 0, 1, 1)
    assert "1 of the retracted are not in the store (yet)" in str(taken)
    again = take(store, SWIPES + f"a,b,1,{DAY}\nx,y,1,{DAY}\nz,y,1,{DAY}\n")
    assert counts(again) == (3, 0, 0, 0)
    assert again.notes == ("2 of the new had been taken back before",)
    assert liked(store) == {"a": True, "x": True, "z": True}


def test_changes_within_one_file_do_not_tell_that_something_was_taken_back_before(store):
    taken = take(store, HEAD + f"e1,a,b,1,{DAY},\ne1,,,,,true\ne1,a,b,0,{DAY},\n")
    assert (counts(taken), taken.notes) == ((2, 0, 1, 0), ())


def test_a_retraction_waits_for_a_row_that_arrived_before_it(store):
    taken = take(store, "event_id\ne1\n", retract=True, arrived_at="2024-03-01")
    assert counts(taken) == (0, 0, 1, 0)
    assert counts(take(store, HEAD + f"e1,a,b,1,{DAY},\n", arrived_at="2024-02-01")) == (1, 0, 0, 0)
    assert liked(store) == {}
    assert liked(store, "2024-02-15") == {"e1": True}
    assert liked(store, "2024-02-01") == {}
    assert liked(store, "2024-03-01") == {"e1": True}


def test_a_late_row_stands_between_those_that_were_loaded_before(store):
    take(store, SWIPES + f"a,b,1,{DAY}\n", arrived_at="2024-02-01")
    take(store, SWIPES + f"a,b,1,{DAY}\nq,q,1,{DAY}\n", arrived_at="2024-05-01")
    take(store, SWIPES + f"a,b,0,{DAY}\n", arrived_at="2024-04-01")
    assert counts(take(store, SWIPES + f"a,b,1,{DAY}\n", arrived_at="2024-04-15")) == (0, 1, 0, 0)
    assert counts(take(store, SWIPES + f"a,b,0,{DAY}\n", arrived_at="2024-03-01")) == (0, 1, 0, 0)
    seen = {month: liked(store, f"2024-{month:02}-15").get("a") for month in (1, 2, 3, 4, 5)}
    assert seen == {1: None, 2: True, 3: False, 4: False, 5: True}
    rows = store.rows(
        "select month(replaced_at), batch, replaced_batch from facts.replaced_swipes order by ingested_at"
    )
    assert rows == [(3, 1, 3), (4, 5, 5), (4, 3, 4)]


def test_of_rows_that_arrive_together_the_later_one_counts_and_no_empty_version_is_stored(store):
    for value in "01":
        take(store, SWIPES + f"a,b,{value},{DAY}\n", arrived_at="2024-02-01")
        take(store, f"sender_id,recipient_id,swiped_at\na,b,{DAY}\n", retract=True, arrived_at="2024-03-01")
    assert liked(store, "2024-02-15") == {"a": True}
    assert liked(store) == {}
    assert store.rows("select count(*) from facts.replaced_swipes") == [(1,)]


def test_the_arrival_of_each_row(store):
    text = SWIPES.replace("\n", ",ingested_at\n") + f"a,b,1,{DAY},2024-02-01\nc,d,1,{DAY},\ne,f,1,{DAY},2024-06-02\n"
    report = take(store, text)
    assert report.refused == {"future_arrival": 1}
    assert dict(store.rows("select sender_id, ingested_at from facts.swipes")) == {
        "a": dt.datetime(2024, 2, 1),
        "c": store.now,
    }
    named = text.replace("ingested_at", "loaded").replace("a,b", "a2,b").replace("c,d", "c2,d")
    assert take(store, named, arrived_at="loaded").n_new == 2
    assert liked(store, "2024-02-02") == {"a": True, "a2": True}
    take(store, SWIPES + f"g,h,1,{DAY}\n", arrived_at=dt.date(2024, 1, 5))
    assert liked(store, "2024-01-06") == {"g": True}
    with pytest.raises(InputError, match="later than now"):
        take(store, SWIPES + f"i,h,1,{DAY}\n", arrived_at="2024-07-01")
    with pytest.raises(InputError, match="no column 'seen'"):
        take(store, SWIPES + f"i,h,1,{DAY}\n", arrived_at="seen")
    with pytest.raises(InputError, match="The arrival is ' '"):
        take(store, SWIPES + f"i,h,1,{DAY}\n", arrived_at=" ")
    with pytest.raises(InputError, match="said twice"):
        take(store, named, arrived_at="2024-01-01", mapping={"ingested_at": "loaded"})


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (HEAD + f"e1,a,b,,{DAY},true\n", {}),
        (HEAD + "e1,,,,,true\n", {}),
        (HEAD + ",,,,,true\n", {"no_sender_id": 1}),
        (HEAD + f",a,b,,{DAY},1\n", {}),
        (HEAD + f"e1,a,b,,{DAY},\n", {"bad_liked": 1}),
        (HEAD + f"e1,a,b,1,{DAY},perhaps\n", {"bad_deleted": 1}),
        (HEAD + f"e1,a,b,1,{DAY},NULL\n", {}),
        (f"sender_id,recipient_id,swiped_at,deleted\na,b,{DAY},yes\na,c,{DAY},no\n", {"bad_liked": 1}),
        ("event_id,deleted\ne1,yes\ne2,no\n", {"no_sender_id": 1}),
    ],
)
def test_what_a_row_that_takes_back_may_lack(store, text, refused):
    assert take(store, text).refused == refused


def test_files_that_name_no_event_are_refused(store):
    with pytest.raises(InputError, match="no column 'liked'"):
        take(store, f"sender_id,recipient_id,swiped_at\na,b,{DAY}\n")
    with pytest.raises(InputError, match="no column 'recipient_id'"):
        take(store, f"sender_id,swiped_at\na,{DAY}\n", retract=True)
    taken = take(store, "event_id,deleted,liked\ne1,no,?\n", retract=True)
    assert (taken.n_retracted, taken.ignored) == (1, ("deleted",))


def test_a_later_set_of_main_photos_replaces_the_whole_set(store):
    take(store, PHOTOS + f"u,p,{DAY}\nu,q,{DAY}\nv,p2,{DAY}\n", "main_photos")
    between = store.now + dt.timedelta(minutes=1)
    assert counts(take(store, PHOTOS + f"u,q,{DAY}\nu,p,{DAY}\nv,p2,2024-01-02\n", "main_photos")) == (1, 0, 0, 2)
    assert counts(take(store, PHOTOS + f"u,r,{DAY}\nu,,{DAY}\n", "main_photos")) == (0, 2, 0, 0)
    held = "select photo_id from facts.main_photos where user_id = 'u' order by all nulls first"
    assert store.rows(held) == [(None,), ("r",)]
    assert store.rows(
        f"select photo_id from facts.replaced_main_photos where replaced_at > '{between}' order by 1"
    ) == [
        ("p",),
        ("q",),
    ]
    assert counts(take(store, f"user_id,set_at,photo_id\nu,{DAY},z\n", "main_photos", retract=True)) == (0, 0, 1, 0)
    assert store.rows(held) == []


def test_main_photos_with_ids_change_in_the_order_of_lines(store):
    head = "event_id,user_id,photo_id,set_at,deleted\n"
    rows = f"m1,u,p,{DAY},\nm1,u,q,{DAY},\nm2,u,r,{DAY},\nm2,,,,1\n"
    assert counts(take(store, head + rows, "main_photos")) == (2, 1, 1, 0)
    assert store.rows("select event_id, photo_id from facts.main_photos") == [("m1", "q")]


def test_an_old_list_of_photos_does_not_bring_back_an_event_that_was_corrected(store):
    photos = f"photo_id,user_id,likes,set_at\np,u,1,{DAY}\n"
    assert take(store, photos, "photos").n_main_photos == 1
    take(store, PHOTOS + f"u,q,{DAY}\n", "main_photos")
    assert take(store, photos.replace(",1,", ",2,"), "photos").n_main_photos == 0
    assert store.rows("select photo_id from facts.main_photos") == [("q",)]


def test_all_formats_say_the_same(tmp_path):
    rows = [
        {"event_id": "e1", "sender_id": "a", "recipient_id": "b", "liked": True, "swiped_at": DAY, "deleted": False},
        {"event_id": "e1", "sender_id": "a", "recipient_id": "b", "liked": False, "swiped_at": DAY, "deleted": None},
        {"event_id": "e2", "sender_id": None, "recipient_id": None, "liked": None, "swiped_at": None, "deleted": True},
    ]
    said = []
    for form in ("csv", "ndjson", "parquet"):
        store = StoreWithFiles(tmp_path / form)
        lines = [[str(v) if v is not None else "" for v in row.values()] for row in rows]
        file = store.file("s.csv", HEAD + "".join(",".join(line) + "\n" for line in lines))
        if form == "ndjson":
            file = store.file("s.ndjson", "".join(json.dumps(row) + "\n" for row in rows))
        elif form == "parquet":
            file = store.parquet("s.parquet", f"select * from read_csv('{file}')")
        [report] = store.take("swipes", file)
        said.append((counts(report), liked(store), store.rows("select event_id from facts.retracted_swipes")))
    assert said == [((1, 1, 1, 0), {"e1": False}, [("e2",)])] * 3


def test_killed_within_a_file_nothing_of_it_is_there(store):
    take(store, SWIPES + f"a,b,1,{DAY}\nc,d,1,{DAY}\n")
    before = [store.rows(f"from facts.{table}") for table in ("swipes", "replaced_swipes", "ingests")]
    child = os.fork()
    if not child:
        from photogenic.ingest.tabular import event_rows

        event_rows._insert = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        take(store, SWIPES + f"a,b,0,{DAY}\n")
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [store.rows(f"from facts.{table}") for table in ("swipes", "replaced_swipes", "ingests")] == before
    assert counts(take(store, SWIPES + f"a,b,0,{DAY}\n")) == (0, 1, 0, 0)
    assert liked(store) == {"a": False, "c": True}


def test_a_full_export_that_turns_corrections_back_says_so_and_the_retraction_can_be_said_again(store):
    export, undo = SWIPES + "a,b,1,2024-01-01\nc,d,1,2024-01-02\n", SWIPES + "a,b,1,2024-01-01\n"
    store.take_text("swipes", export)
    store.take_text("swipes", undo, retract=True)
    store.take_text("swipes", SWIPES + "c,d,0,2024-01-02\n")
    again = store.take_text("swipes", export + "e,f,1,2024-01-03\n")
    assert (again.n_new, again.n_corrected) == (2, 1)
    assert "1 of the new had been taken back before" in again.notes
    assert "1 of the corrected got back values that were corrected before" in again.notes
    last = store.take_text("swipes", undo, retract=True)
    assert (last.repeated, last.n_retracted) == (False, 1)
    assert store.take_text("swipes", undo, retract=True).repeated
    assert store.rows("select sender_id from facts.swipes order by 1") == [("c",), ("e",)]


def test_a_retraction_of_which_too_much_is_refused_ends_red_and_takes_back_the_rest(tmp_path):
    (tmp_path / "swipes.csv").write_text(SWIPES + "a,b,1,2024-01-01\n")
    (tmp_path / "undo.csv").write_text("sender_id,recipient_id,swiped_at\na,b,2024-01-01\n,b,2024-01-01\n")
    with FeatureStore(tmp_path / "store") as opened:
        opened.ingest_swipes(tmp_path / "swipes.csv")
        with pytest.raises(ThresholdError, match="1 of 2 rows of swipes"):
            opened.retract("swipes", tmp_path / "undo.csv", max_refused="10%")
        assert opened.sql("from swipes").is_empty()

"""The relation `commands`: the commands that changed the store, and the duration of their stages."""

import json

from photogenic.warehouse import Store
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.progress import no_progress
from tests.warehouse.small import ask, store

ADD = (
    "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
    " values ($1, null, null, null, timestamp '2024-01-01')"
)


def test_a_command_has_one_row_with_all_its_stages(tmp_path):
    db = store(tmp_path)
    progress = RecordingProgress(no_progress, History("build"))
    db.history = progress.history
    for user in ("a", "b"):
        with progress.stage("users", 2, "rows") as advance, db.write("test") as con:
            con.execute(ADD, [user])
            advance(1)
    build_labels(Store(db, progress))
    [(command, stages, seconds)] = ask(db, "select command, stages, epoch(written_at - started_at) from commands")
    assert command == "build"
    stages = json.loads(stages)
    assert list(stages) == ["users", "labels"]
    assert stages["users"][0] == 2
    assert 0 < stages["users"][1] <= seconds
    db.history = History("ingest users")
    with db.write("test") as con:
        con.execute(ADD, ["c"])
    assert ask(db, "select command from commands order by started_at") == [("build",), ("ingest users",)]


def test_a_command_that_changes_nothing_leaves_no_row(tmp_path):
    db = store(tmp_path)
    with db.write("test"):
        pass
    db.history = History("build")
    before = db.layout.snapshot.stat().st_ino
    with db.write("test") as con:
        ask(db, "from users")
        con.execute("from facts.users").fetchall()
    assert db.layout.snapshot.stat().st_ino == before
    assert ask(db, "from commands") == []


def test_large_writes_that_go_past_the_log_are_noticed(tmp_path):
    db = store(tmp_path)
    with db.write("test"):
        pass
    db.history = History("ingest swipes")
    with db.write("test") as con:
        con.execute(
            "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            " select range::varchar, 'b', true, timestamp '2024-01-01', timestamp '2024-01-02'"
            " from range(500000)"
        )
        con.execute("checkpoint")
    assert ask(db, "select command from commands") == [("ingest swipes",)]

"""The four data sets unchanged: every row is read and kept, and every picture is found."""

import csv
import datetime as dt

import pytest

from photogenic import FeatureStore

READ = {
    ("london", "users"): 2_426,
    ("london", "photos"): 204,
    ("london", "swipes"): 237_048,
    ("omi", "users"): 422,
    ("omi", "photos"): 422,
    ("omi", "swipes"): 13_113,
    ("speed_dating", "users"): 551,
    ("speed_dating", "swipes"): 8_368,
    ("instagram", "users"): 978,
    ("instagram", "photos"): 16_539,
}


@pytest.mark.parametrize(("name", "kind"), READ)
def test_every_row_is_read_and_kept(data, tmp_path, name, kind):
    store = FeatureStore(tmp_path / "store")
    path = data / name / f"{kind}.csv"
    [account] = getattr(store, f"ingest_{kind}")(path)
    with path.open(newline="") as file:
        given = list(csv.DictReader(file))
    assert (account.n_read, account.n_new) == (len(given), len(given)) == (READ[name, kind],) * 2
    held = store.sql(f"select * from {kind}")
    assert held.height == len(given)
    if "path" in given[0]:
        assert account.pictures == {"ok": len(given)}
    if kind == "swipes":
        at = {dt.datetime.fromisoformat(row["swiped_at"]) for row in given}
        assert set(held["swiped_at"]) == at
        assert int(held["liked"].sum()) == sum(row["liked"] == "True" for row in given)
    [again] = getattr(store, f"ingest_{kind}")(path)
    assert again.repeated

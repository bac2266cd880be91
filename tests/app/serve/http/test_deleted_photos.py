"""A deleted photo is answered with 404 and the time of its deletion at every address that names it."""

import pytest

from photogenic import FeatureStore
from tests.app.serve.live_server import live_server
from tests.maintenance.kept import make

GONE, STAYS = "photo-003", "photo-005"
ADDRESSES = ["/api/v1/photos/{}", "/photos/{}", "/pictures/{}", "/thumbs/{}"]


@pytest.fixture(scope="module")
def deleted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deleted")
    root = make(folder).layout.root
    given = folder / "deleted.csv"
    given.write_text(f"photo_id\n{GONE}\n")
    with FeatureStore(root) as store:
        store.retract("photos", given)
    with live_server(root) as server:
        yield server


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_of_a_photo(deleted, address):
    answer = deleted.get(address.format(GONE))
    assert (answer.status, answer.code) == (404, "not_found")
    assert f"Photo '{GONE}' was deleted at 2" in answer.json["message"]
    assert deleted.get(address.format("nobodys")).json["message"] == "There is no photo 'nobodys'."
    if address.startswith("/api"):
        assert deleted.get(address.format(STAYS)).status == 200


def test_searches_by_it_and_for_it(deleted):
    answer = deleted.post("/api/v1/similar", {"photo_id": GONE, "k": 3})
    assert (answer.status, answer.code) == (404, "not_found")
    assert "was deleted at" in answer.json["message"]
    near = deleted.post("/api/v1/similar", {"photo_id": STAYS, "k": 100})
    assert near.status == 200
    assert GONE.encode() not in near.body
    assert GONE.encode() not in deleted.get("/api/v1/gallery?limit=100").body

"""The omi and london data sets together: the nearest face of a smiling photo is the neutral one of the same person."""

import pytest


@pytest.mark.slow
def test_the_nearest_face_is_the_same_person(data, rated):
    with rated("omi") as store:
        store.ingest_users(data / "london" / "users.csv")
        store.ingest_photos(data / "london" / "photos.csv", images=data / "london")
        store.build(encoders=["dlib_face"], near_duplicates=True)
        owner = dict(store.sql("select photo_id, user_id from photos").rows())
        smiling = [photo_id for photo_id in owner if photo_id.endswith("-smiling")]
        found = store.searcher.find(smiling, k=1, encoder="dlib_face")
        same = sum(owner[smiling[query]] == user for query, user in found.photos.select("query", "user_id").rows())
        assert len(smiling) == 102
        assert same >= 99
        # 626 different pictures, many taken in a row in one studio: no two are near-duplicates
        assert store.sql("select count(*) from near_duplicates").item() == 0

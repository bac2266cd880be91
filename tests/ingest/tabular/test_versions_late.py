"""Deletions and versions that arrive before what the store has already."""

from photogenic import FeatureStore


def loaded(store, kind, folder, text, *, retract=False):
    path = folder / f"{kind}-{len(list(folder.iterdir()))}.csv"
    path.write_text(text)
    (report,) = (store.retract if retract else store.ingest)(kind, path)
    return report


def test_a_deletion_by_id_alone_that_arrived_before_the_photo_has_the_owner_of_the_photo(tmp_path):
    with FeatureStore(tmp_path / "store") as store:
        loaded(store, "photos", tmp_path, "photo_id,user_id,ingested_at\np,u,2025-01-05\n")
        report = loaded(store, "photos", tmp_path, "photo_id,ingested_at\np,2025-01-02\n", retract=True)
        assert (report.n_read, report.n_known) == (1, 1), "a newer version is there, which has not ended"
        assert store.sql("select user_id from photos").rows() == [("u",)]


def test_a_version_of_a_file_is_compared_with_what_had_arrived_only(tmp_path):
    text = "user_id,followers,updated_at,ingested_at\na,1,2025-01-01,2025-01-10\na,1,,2025-01-05\n"
    with FeatureStore(tmp_path / "store") as store:
        report = loaded(store, "users", tmp_path, text)
        assert (report.n_new, report.n_corrected, report.n_known) == (2, 0, 0)
        assert store.sql("select followers from users", known_at="2025-01-07").rows() == [(1,)]


def test_a_photo_of_a_deleted_user_has_no_label_though_no_photos_file_names_it(tmp_path):
    with FeatureStore(tmp_path / "store") as store:
        loaded(store, "users", tmp_path, "user_id,deleted_at\na,2025-02-01\nb,\n")
        loaded(store, "main_photos", tmp_path, "user_id,photo_id,set_at\na,p,2025-01-01\nb,q,2025-01-01\n")
        loaded(
            store,
            "swipes",
            tmp_path,
            "sender_id,recipient_id,liked,swiped_at\nb,a,yes,2025-01-02\na,b,yes,2025-01-02\n",
        )
        store.build(only="labels")
        assert store.sql("select photo_id from photo_labels").rows() == [("q",)]
        assert store.sql("select photo_id from photo_labels order by all", as_of="2025-01-15").rows() == [
            ("p",),
            ("q",),
        ]

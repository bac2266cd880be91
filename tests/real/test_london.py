"""102 people, two photos each, 237,048 ratings of the later one."""

import polars as pl
import pytest


@pytest.fixture(scope="module")
def london(labelled):
    return labelled("london")


def test_every_swipe_is_read_and_has_one_reason(london):
    audit = london.sql("select reason, n_swipes from swipe_audit where n_swipes > 0")
    assert dict(audit.iter_rows()) == {"kept": 237_048}
    assert london.sql("select count(*) from swipes").item() == 237_048


def test_replaced_photos_have_no_label(london):
    windows = london.sql("""
        select time_window, count(*) filter (where photo_id like '%-smiling') as smiling, count(*) as n
        from like_ratios group by time_window order by time_window
    """)
    assert windows.rows() == [("every", 0, 102), ("latest", 0, 102)]


@pytest.mark.parametrize("time_window", ["latest", "every"])
def test_gender_breakdown_equals_a_plain_computation(london, data, time_window):
    gender = pl.read_csv(data / "london" / "users.csv").select("user_id", pl.col("gender").replace("", None))
    swipes = pl.read_csv(data / "london" / "swipes.csv")
    expected = (
        swipes.join(gender.rename({"gender": "sender_gender"}), left_on="sender_id", right_on="user_id", how="left")
        .join(gender.rename({"gender": "recipient_gender"}), left_on="recipient_id", right_on="user_id")
        .group_by("sender_gender", "recipient_gender", "recipient_id")
        .agg(n_swipes=pl.len(), n_likes=pl.col("liked").sum())
        .group_by("sender_gender", "recipient_gender")
        .agg(
            n_swipes=pl.col("n_swipes").sum(),
            n_likes=pl.col("n_likes").sum(),
            like_ratio=pl.col("n_likes").sum() / pl.col("n_swipes").sum(),
            mean_like_ratio=(pl.col("n_likes") / pl.col("n_swipes")).mean(),
        )
        .sort("sender_gender", "recipient_gender")
    )
    found = london.sql(f"""
        select sender_gender, recipient_gender, n_swipes, n_likes, like_ratio, mean_like_ratio
        from gender_breakdown where time_window = '{time_window}'
    """).sort("sender_gender", "recipient_gender")
    assert found.select(pl.exclude("like_ratio", "mean_like_ratio")).rows() == (
        expected.select(pl.exclude("like_ratio", "mean_like_ratio")).rows()
    )
    for column in ("like_ratio", "mean_like_ratio"):
        assert found[column].to_list() == pytest.approx(expected[column].to_list(), abs=1e-12, rel=0)

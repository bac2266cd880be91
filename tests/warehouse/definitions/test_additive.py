"""Which relations may be additive: accepted forms, and the reason of each refusal."""

import pytest

from photogenic.warehouse.catalog import parse
from photogenic.warehouse.definitions.additive import check_additive
from photogenic.warehouse.errors import InputError

HEADER = """-- mine: counts
--
-- grain:  {grain}
-- reads:  {log}
-- time:   as of the clock
-- source: test
"""
WHO = "cast(recipient_id as varchar) as user_id, -- who"
N = "cast(count(*) as bigint) as n -- swipes"


def check(body, grain="user_id", log="swipes"):
    return check_additive(parse("mine", HEADER.format(grain=grain, log=log) + body), log, "relations/mine.sql")


def grouped(*columns, rest="from swipes group by recipient_id"):
    return "select\n" + "\n".join((WHO, *columns, N)) + "\n" + rest


@pytest.mark.parametrize(
    "body",
    [
        grouped(),
        grouped(rest="from swipes group by all order by 1"),
        grouped(rest="from swipes group by 1"),
        grouped(rest="from swipes group by cast(recipient_id as varchar)"),
        grouped(rest="from swipes as s left join users as u on s.recipient_id = u.user_id where liked group by all"),
        grouped(rest="from users right join swipes on recipient_id = user_id group by all"),
        grouped(rest="from swipes, clock semi join users on recipient_id = user_id group by all"),
        grouped(rest="from swipes where recipient_id in (select user_id from users) group by all"),
        grouped("cast(count(*) filter (where liked) as bigint) as n_likes, -- likes"),
        grouped("cast(count(event_id) as bigint) as n_named, -- with an id"),
        grouped("cast(count_if(liked) as bigint) as n_likes, -- likes"),
        grouped("cast(sum(case when liked then 2 else 0 end) as bigint) as points, -- points"),
        grouped("cast(sum(cast(liked as bigint)) as bigint) as n_likes, -- likes"),
        grouped("cast(coalesce(sum(cast(length(event_id) as bigint)), 0) as bigint) as n_letters, -- letters"),
        grouped("cast(coalesce(sum(1) filter (where liked), 0) as bigint) as n_likes, -- likes"),
        "with mine_ as (select *, hour(swiped_at) as h from swipes where liked), "
        "late as (select * from mine_ where h > 20)\n" + grouped(rest="from late group by all"),
        grouped(rest="from (select recipient_id from swipes) as inside group by all"),
        "with best as (select user_id, max(followers) as f from users group by user_id)\n"
        + grouped(rest="from swipes inner join best on recipient_id = best.user_id group by all"),
    ],
)
def test_rows_that_add_up_are_accepted(body):
    sums = check(body)
    assert (sums.keys, sums.count, sums.log) == (("user_id",), "n", "swipes")
    assert sums.sums[-1] == "n"
    assert "user_id" not in sums.sums


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (grouped("cast(min(swiped_at) as timestamp) as first_at, -- first"), "first_at is CAST(MIN"),
        (grouped("cast(count(distinct sender_id) as bigint) as n_senders, -- senders"), "n_senders is"),
        (grouped("cast(avg(cast(liked as bigint)) as double) as ratio, -- ratio"), "ratio is"),
        (grouped("cast(sum(0.5) as bigint) as half, -- half"), "half adds up 0.5"),
        (grouped("cast(sum(cast(liked as double)) as bigint) as d, -- d"), "d adds up CAST(liked AS DOUBLE)"),
        (grouped("cast(sum(case when liked then 1 end) as bigint) as d, -- d"), "d may be NULL"),
        (grouped("cast(sum(1) filter (where liked) as bigint) as d, -- d"), "d may be NULL"),
        (grouped("cast(count(*) - 1 as bigint) as d, -- d"), "d is CAST(COUNT(*) - 1"),
        (grouped("cast(count(*) as bigint) as again, -- twice"), "2 columns are a plain count"),
        (f"select {WHO}\ncast(count(event_id) as bigint) as n -- n\nfrom swipes group by all", "no column is a plain"),
        (grouped(rest="from swipes group by all having count(*) > 1"), "uses having"),
        (grouped(rest="from swipes group by all limit 5"), "uses limit"),
        (grouped(rest="from swipes group by all qualify row_number() over () = 1"), "uses qualify"),
        (grouped(rest="from swipes group by rollup (recipient_id)"), "groups by ROLLUP"),
        (grouped(rest="from swipes group by recipient_id, liked"), "groups by liked"),
        (grouped(rest="from swipes"), "no GROUP BY"),
        (grouped(rest="from users left join swipes on recipient_id = user_id group by all"), "left join"),
        (grouped(rest="from swipes full join users on recipient_id = user_id group by all"), "full join"),
        (grouped(rest="from users semi join swipes on recipient_id = user_id group by all"), "semi join"),
        (grouped(rest="from swipes as a join swipes as b using (recipient_id) group by all"), "swipes 2 times"),
        (grouped(rest="from users as swipes group by all"), "swipes never"),
        (grouped(rest="from users where exists (select 1 from swipes) group by all"), "read in exists"),
        (
            "with twice as (select recipient_id from swipes)\n"
            + grouped(rest="from twice join twice as t using (recipient_id) group by all"),
            "is read 2 times",
        ),
        ("with d as (select distinct recipient_id from swipes)\n" + grouped(rest="from d group by all"), "distinct"),
        (
            "with d as (select recipient_id, row_number() over () as r from swipes)\n"
            + grouped(rest="from d where r < 3 group by all"),
            "window",
        ),
        (
            "with d as (select any_value(recipient_id) as recipient_id from swipes)\n"
            + grouped(rest="from d group by all"),
            "has the aggregate",
        ),
        (
            "with d as (select recipient_id from swipes union select user_id from users)\n"
            + grouped(rest="from d group by all"),
            "read in union",
        ),
        (grouped("cast((select count(liked)) as bigint) as d, -- d"), "subquery"),
        (grouped(rest="from swipes tablesample 3 rows group by all"), "more than a name"),
        ("with swipes as (select * from users)\n" + grouped(rest="from swipes group by all"), "same name"),
    ],
)
def test_rows_that_do_not_add_up_are_refused_with_the_reason(body, reason):
    with pytest.raises(InputError, match=r"^relations/mine.sql: mine cannot be additive") as raised:
        check(body)
    assert reason in raised.value.what
    assert raised.value.expected
    assert raised.value.remedy


def test_a_lossy_cast_of_the_grain_is_grouped_as_it_is_cast():
    day = "select\ncast(swiped_at as date) as day, -- day\n" + N + "\nfrom swipes group by "
    assert check(day + "all", "day").keys == ("day",)
    assert check(day + "cast(swiped_at as date)", "day").keys == ("day",)
    with pytest.raises(InputError, match="groups by swiped_at"):
        check(day + "swiped_at", "day")


def test_the_grain_must_name_columns_and_the_log_must_be_one():
    with pytest.raises(InputError, match="names no column"):
        check(grouped(), grain="one row")
    with pytest.raises(InputError, match="additive is users"):
        check_additive(parse("mine", HEADER.format(grain="user_id", log="users") + grouped()), "users", "mine.sql")


def test_sums_of_columns_of_photo_swipes():
    text = (
        "select cast(photo_id as varchar) as photo_id, -- photo\n"
        "cast(coalesce(sum(photo_age_s), 0) as bigint) as age_s, -- sum of ages\n" + N
    )
    assert check(text + "\nfrom photo_swipes group by photo_id", "photo_id", "photo_swipes").sums == ("age_s", "n")
    with pytest.raises(InputError, match="age_s may be NULL"):
        check(
            text.replace("coalesce(sum(photo_age_s), 0)", "sum(photo_age_s)") + "\nfrom photo_swipes group by photo_id",
            "photo_id",
            "photo_swipes",
        )

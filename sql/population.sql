-- population: how many users remain at each stage, and how many swipes they sent.
--
-- grain:  stage, gender
-- reads:  user_genders, photo_owners, photo_labels, sender_counts
-- time:   as the relations read
-- source: Bogatyy & Tom: 85k users, 76k with photos, 37:63
--
-- Senders that are not in users stand apart, as `unknown_sender`. Users and their swipes count under the gender that
-- user_genders has, whatever --gender is.
with senders as (
    select user_id, gender, coalesce(n_swipes, 0) as n_swipes
    from user_genders
    left join sender_counts on user_genders.user_id = sender_counts.sender_id
),

members as (
    select 'ingested' as stage, gender, n_swipes
    from senders
    union all
    select 'with_photo' as stage, gender, n_swipes
    from senders
    semi join photo_owners using (user_id)
    union all
    select 'labelled' as stage, gender, n_swipes
    from senders
    semi join photo_labels using (user_id)
    union all
    select 'unknown_sender' as stage, cast(null as varchar) as gender, n_swipes
    from sender_counts
    anti join user_genders on sender_counts.sender_id = user_genders.user_id
)

select
    cast(stage as varchar) as stage,                    -- ingested, with_photo, labelled; unknown_sender
    cast(gender as varchar) as gender,                  -- NULL: unknown
    cast(count(*) as bigint) as n_users,                -- users in the stage
    cast(sum(n_swipes) as bigint) as n_swipes_sent      -- swipes that they sent
from members
group by stage, gender

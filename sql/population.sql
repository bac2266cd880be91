-- population: how many users remain at each stage, and how many swipes they sent.
--
-- grain:  stage, gender
-- reads:  user_genders, photo_owners, photo_labels, sender_counts, changed_sender_counts
-- time:   as the relations read
-- source: Bogatyy & Tom: 85k users, 76k with photos, 37:63
--
-- Senders that are not in users stand apart, as `unknown_sender`. Users count under their gender of today. So do
-- their swipes, except with `--gender then`: under the gender at the swipe.
with senders as (
    select user_id, gender, 1 as n_users, coalesce(n_swipes, 0) as n_swipes
    from user_genders
    left join sender_counts on user_genders.user_id = sender_counts.sender_id
    union all
    select changed_sender_counts.user_id, user_genders.gender, 0 as n_users, -n_swipes as n_swipes
    from changed_sender_counts
    inner join user_genders on changed_sender_counts.user_id = user_genders.user_id
    union all
    select user_id, gender, 0 as n_users, n_swipes
    from changed_sender_counts
),

members as (
    select 'ingested' as stage, gender, n_users, n_swipes
    from senders
    union all
    select 'with_photo' as stage, gender, n_users, n_swipes
    from senders
    semi join photo_owners using (user_id)
    union all
    select 'labelled' as stage, gender, n_users, n_swipes
    from senders
    semi join photo_labels using (user_id)
    union all
    select 'unknown_sender' as stage, cast(null as varchar) as gender, 1 as n_users, n_swipes
    from sender_counts
    anti join user_genders on sender_counts.sender_id = user_genders.user_id
)

select
    cast(stage as varchar) as stage,                    -- ingested, with_photo, labelled; unknown_sender
    cast(gender as varchar) as gender,                  -- NULL: unknown
    cast(sum(n_users) as bigint) as n_users,            -- users in the stage
    cast(sum(n_swipes) as bigint) as n_swipes_sent      -- swipes that they sent
from members
group by stage, gender

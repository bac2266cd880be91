-- population: how many users remain at each stage, and how many swipes they sent.
--
-- grain:  stage, gender
-- reads:  user_genders, photo_owners, photo_labels, sender_counts
-- time:   as the relations read
-- source: Bogatyy & Tom: 85k users, 76k with photos, 37:63
--
-- Senders that are not in users stand apart, as `unknown_sender`.
with members as (
    select 'ingested' as stage, user_id, gender
    from user_genders
    union all
    select 'with_photo' as stage, user_id, gender
    from user_genders
    semi join photo_owners using (user_id)
    union all
    select 'labelled' as stage, user_id, gender
    from user_genders
    semi join photo_labels using (user_id)
    union all
    select 'unknown_sender' as stage, sender_id as user_id, cast(null as varchar) as gender
    from sender_counts
    anti join user_genders on sender_counts.sender_id = user_genders.user_id
)

select
    cast(stage as varchar) as stage,                                  -- ingested, with_photo, labelled; unknown_sender
    cast(gender as varchar) as gender,                                -- NULL: unknown
    cast(count(*) as bigint) as n_users,                              -- users in the stage
    cast(coalesce(sum(n_swipes), 0) as bigint) as n_swipes_sent       -- swipes that they sent
from members
left join sender_counts on members.user_id = sender_counts.sender_id
group by stage, gender

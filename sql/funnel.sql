-- funnel: what is left of swipes and of posts after each step on the way to labels.
--
-- grain:  source, step_no
-- reads:  user_genders, photo_owners, recipient_timeline, swipe_audit, like_ratios, follower_ratios, photo_labels
-- time:   as the relations read
-- source: the published funnels: 85k -> 76k users and 40M -> 11M swipes; 200k -> 120k -> 35k posts
--
-- Rows are in the order of the steps, those of swipes first.
with swiped as (
    select
        coalesce(sum(n_swipes), 0) as ingested,
        coalesce(sum(n_swipes) filter (
            where reason not in ('no_photo', 'unknown_recipient', 'self_swipe')
        ), 0) as with_photo
    from swipe_audit
),

windows as (
    select
        time_window,
        count(distinct user_id) as n_users,
        count(*) as n_photos,
        sum(n_swipes) as n_swipes
    from like_ratios
    group by time_window
),

labelled as (
    select
        source,
        count(distinct user_id) as n_users,
        count(*) as n_photos,
        sum(cast(floor(weight) as bigint)) as n_swipes
    from photo_labels
    group by source
),

steps as (
    select
        'swipes' as source,
        1 as step_no,
        'ingested' as step,
        (select count(*) from user_genders) as n_users,
        (select count(*) from photo_owners) as n_photos,
        (select ingested from swiped) as n_swipes
    union all
    select 'swipes', 2, 'with_photo', count(distinct user_no), count(distinct photo_no), (select with_photo from swiped)
    from recipient_timeline
    where photo_no is not null
    union all
    select 'swipes', 3, 'every', sum(n_users), sum(n_photos), sum(n_swipes)
    from windows
    where time_window = 'every'
    union all
    select 'swipes', 4, 'latest', sum(n_users), sum(n_photos), sum(n_swipes)
    from windows
    where time_window = 'latest'
    union all
    select 'swipes', 5, 'labelled', sum(n_users), sum(n_photos), sum(n_swipes)
    from labelled
    where source = 'swipes'
    union all
    select 'posts', 1, 'ingested', count(distinct user_id), count(*), null
    from follower_ratios
    union all
    select 'posts', 2, 'collected', count(distinct user_id), count(*), null
    from follower_ratios
    where coalesce(dropped, 'mad_low') not in ('no_date', 'impossible_date', 'too_young', 'hashtag', 'no_followers')
    union all
    select 'posts', 3, 'within_bounds', count(distinct user_id), count(*), null
    from follower_ratios
    where coalesce(dropped, 'no_face') in ('no_picture', 'no_face', 'only_post')
    union all
    select 'posts', 4, 'with_face', count(distinct user_id), count(*), null
    from follower_ratios
    where coalesce(dropped, 'only_post') = 'only_post'
    union all
    select 'posts', 5, 'labelled', sum(n_users), sum(n_photos), null
    from labelled
    where source = 'posts'
)

select
    cast(source as varchar) as source,                    -- swipes, posts
    cast(step_no as integer) as step_no,                  -- from 1
    cast(step as varchar) as step,                        -- what the rows have passed
    cast(coalesce(n_users, 0) as bigint) as n_users,      -- recipients of swipes; owners of posts
    cast(coalesce(n_photos, 0) as bigint) as n_photos,    -- photos; posts
    cast(case when source = 'swipes' then coalesce(n_swipes, 0) end as bigint) as n_swipes -- swipes; NULL for posts
from steps
order by source desc, step_no

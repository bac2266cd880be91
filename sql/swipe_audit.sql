-- swipe_audit: every swipe under one reason; the reasons sum to the number of swipes.
--
-- grain:  reason
-- reads:  recipient_counts, swipe_counts, recipient_timeline, user_genders
-- time:   as swipe_counts
-- source: Bogatyy & Tom: 40M swipes, of which 11M remain
--
-- Swipes in a stretch have its reason, or `self_swipe`. The others went to somebody who is not in users
-- (`unknown_recipient`), who never had a main photo (`no_photo`), or not yet (`before_first_photo`).
with matched as (
    select
        case when sender_group = 4 then 'self_swipe' else reason end as reason,
        sum(n_swipes) as n_swipes,
        sum(n_likes) as n_likes
    from swipe_counts
    inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
    group by case when sender_group = 4 then 'self_swipe' else reason end
),

owners as (
    select distinct user_no
    from recipient_timeline
),

received as (
    select
        case
            when user_genders.user_id is null then 'unknown_recipient'
            when owners.user_no is null then 'no_photo'
            else 'before_first_photo'
        end as reason,
        n_swipes,
        n_likes
    from recipient_counts
    left join user_genders on recipient_counts.recipient_id = user_genders.user_id
    left join owners on user_genders.user_no = owners.user_no
),

parts as (
    select reason, n_swipes, n_likes
    from matched
    union all
    select reason, n_swipes, n_likes
    from received
    union all
    select 'before_first_photo' as reason, -n_swipes, -n_likes
    from matched
),

totals as (
    select reason, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from parts
    group by reason
)

select
    cast(reason as varchar) as reason,                              -- kept, stale_photo, photo_removed, foreign_photo, self_swipe, before_first_photo, no_photo, unknown_recipient
    cast(n_swipes as bigint) as n_swipes,                           -- swipes, at least 1
    cast(n_likes as bigint) as n_likes,                             -- of these, to the right
    cast(reason = 'kept' as boolean) as in_latest,                  -- counted in the window `latest`
    cast(reason in ('kept', 'stale_photo') as boolean) as in_every  -- counted in the window `every`
from totals
where n_swipes <> 0

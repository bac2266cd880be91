-- swipe_audit: every swipe under one reason; the reasons sum to the number of swipes.
--
-- grain:  reason
-- reads:  recipient_counts, swipe_counts, recipient_timeline, user_genders
-- time:   as swipe_counts
-- source: Bogatyy & Tom: 40M swipes, of which 11M remain
--
-- Swipes in a stretch have its reason, or `self_swipe`. The others came before the recipient's first
-- photo, or to one who never had any (`no_photo`), or who is not in users (`unknown_recipient`).
with stretches as (
    select
        stretch_no,
        sum(n_swipes) filter (where not is_self) as n_swipes,
        sum(n_likes) filter (where not is_self) as n_likes,
        sum(n_swipes) filter (where is_self) as n_self_swipes,
        sum(n_likes) filter (where is_self) as n_self_likes,
        sum(n_swipes) as n_all_swipes,
        sum(n_likes) as n_all_likes
    from swipe_counts
    group by stretch_no
),

matched as (
    select user_id, reason, stretches.*
    from stretches
    inner join recipient_timeline on stretches.stretch_no = recipient_timeline.stretch_no
),

recipients as (
    select user_id, sum(n_all_swipes) as n_swipes, sum(n_all_likes) as n_likes
    from matched
    group by user_id
),

owners as (
    select distinct user_id
    from recipient_timeline
),

unmatched as (
    select
        case
            when user_genders.user_id is null then 'unknown_recipient'
            when owners.user_id is null then 'no_photo'
            else 'before_first_photo'
        end as reason,
        recipient_counts.n_swipes - coalesce(recipients.n_swipes, 0) as n_swipes,
        recipient_counts.n_likes - coalesce(recipients.n_likes, 0) as n_likes
    from recipient_counts
    left join recipients on recipient_counts.recipient_id = recipients.user_id
    left join owners on recipient_counts.recipient_id = owners.user_id
    left join user_genders on recipient_counts.recipient_id = user_genders.user_id
),

parts as (
    select reason, n_swipes, n_likes
    from matched
    union all
    select 'self_swipe' as reason, n_self_swipes, n_self_likes
    from matched
    union all
    select reason, n_swipes, n_likes
    from unmatched
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
where n_swipes > 0

-- The former counts of recipients who did not move, with the current stretch numbers, and the recounted ones.
with former as (
    select recipient_timeline.stretch_no, sender_group, n_swipes, n_likes
    from swipe_counts
    inner join former_recipient_timeline on swipe_counts.stretch_no = former_recipient_timeline.stretch_no
    inner join recipient_timeline
        on former_recipient_timeline.user_id = recipient_timeline.user_id
        and former_recipient_timeline.valid_from = recipient_timeline.valid_from
    anti join moved_recipients on recipient_timeline.user_id = moved_recipients.recipient_id
),

parts as (
    select * from former
    union all
    select * from recounted
)

select
    stretch_no,
    sender_group,
    cast(sum(n_swipes) as bigint) as n_swipes,
    cast(sum(n_likes) as bigint) as n_likes
from parts
group by stretch_no, sender_group
having sum(n_swipes) > 0

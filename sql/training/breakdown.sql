-- Swipes that each recipient received from senders of each gender, in one window; `latest` is the current main photo.
--
-- grain: user_id, sender_gender
-- reads: swipe_counts, recipient_timeline
-- source: Bogatyy & Tom, Table 1
--
-- Same as gender_breakdown of that window before the sums, since intervals are computed over recipients.
select
    recipient_timeline.user_id,
    recipient_timeline.gender as recipient_gender,
    case swipe_counts.sender_group when 1 then 'female' when 2 then 'male' when 3 then 'other' end as sender_gender,
    sum(swipe_counts.n_swipes) as n_swipes,
    sum(swipe_counts.n_likes) as n_likes
from swipe_counts
inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
where
    (recipient_timeline.reason = 'kept' or $window = 'every')
    and recipient_timeline.photo_no is not null
    and swipe_counts.sender_group is distinct from 4
group by recipient_timeline.user_id, recipient_timeline.gender, swipe_counts.sender_group
order by recipient_timeline.user_id, recipient_timeline.gender, swipe_counts.sender_group

-- Swipes that each recipient received from senders of each gender, in one window; `latest` is the current main photo.
--
-- grain: user_id, sender_gender
-- reads: swipe_counts, recipient_timeline, user_genders, gender_changes
-- source: Bogatyy & Tom, Table 1
--
-- Same as gender_breakdown of that window before the sums, since intervals are computed over recipients.
with credited as (
    select
        recipient_timeline.user_id,
        case when gender_changes.user_no is null then user_genders.gender else gender_changes.gender end as recipient_gender,
        swipe_counts.sender_group,
        swipe_counts.n_swipes,
        swipe_counts.n_likes
    from swipe_counts
    inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
    inner join user_genders on recipient_timeline.user_no = user_genders.user_no
    left join gender_changes
        on recipient_timeline.user_no = gender_changes.user_no
        and recipient_timeline.valid_from >= gender_changes.valid_from
        and recipient_timeline.valid_from < gender_changes.valid_to
    where
        (recipient_timeline.reason = 'kept' or $window = 'every')
        and recipient_timeline.photo_no is not null
        and swipe_counts.sender_group is distinct from 4
)

select
    user_id,
    recipient_gender,
    case sender_group when 1 then 'female' when 2 then 'male' when 3 then 'other' end as sender_gender,
    sum(n_swipes) as n_swipes,
    sum(n_likes) as n_likes
from credited
group by user_id, recipient_gender, sender_group
order by user_id, recipient_gender, sender_group

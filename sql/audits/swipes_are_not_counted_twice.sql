-- swipes_are_not_counted_twice: no recipient has more swipes in stretches than were received
--
-- reads:  swipe_counts, recipient_timeline, recipient_counts, user_genders
with matched as (
    select recipient_timeline.user_no, sum(swipe_counts.n_swipes) as n_swipes, sum(swipe_counts.n_likes) as n_likes
    from swipe_counts
    inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
    group by recipient_timeline.user_no
)

select user_genders.user_id, matched.n_swipes, matched.n_likes, recipient_counts.n_swipes as n_received
from matched
inner join user_genders on matched.user_no = user_genders.user_no
left join recipient_counts on user_genders.user_id = recipient_counts.recipient_id
where recipient_counts.recipient_id is null
    or matched.n_swipes > recipient_counts.n_swipes
    or matched.n_likes > recipient_counts.n_likes

-- swipe_counts: swipes received in each stretch of a recipient's time line, by the sender's gender.
--
-- grain:  stretch_no, sender_gender, is_self
-- reads:  swipes, recipient_timeline, user_genders
-- time:   a swipe belongs to the stretch of its recipient that holds its instant; earlier ones to none
-- source: Bogatyy & Tom, "Photo validity" and Table 1
--
-- The one join over the whole log. Counts of disjoint sets of swipes add up, so that new swipes are
-- counted alone and added.
select
    cast(recipient_timeline.stretch_no as integer) as stretch_no,   -- of recipient_timeline
    cast(user_genders.gender as varchar) as sender_gender,          -- NULL: unknown, or not in users
    cast(swipes.sender_id = swipes.recipient_id as boolean) as is_self, -- somebody swiped on themselves: counted, credited to nothing
    cast(count(*) as bigint) as n_swipes,                           -- swipes
    cast(count(*) filter (where swipes.liked) as bigint) as n_likes -- of these, to the right
from swipes
inner join recipient_timeline
    on swipes.recipient_id = recipient_timeline.user_id
    and swipes.swiped_at >= recipient_timeline.valid_from
    and swipes.swiped_at < recipient_timeline.valid_to
left join user_genders on swipes.sender_id = user_genders.user_id
group by recipient_timeline.stretch_no, user_genders.gender, swipes.sender_id = swipes.recipient_id

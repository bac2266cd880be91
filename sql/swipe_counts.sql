-- swipe_counts: swipes received in each stretch of a recipient's time line, by the sender's gender.
--
-- grain:  stretch_no, sender_group
-- reads:  swipes, recipient_timeline, user_genders, gender_changes
-- time:   a swipe belongs to the stretch of its recipient that holds its instant; earlier ones to none
-- source: Bogatyy & Tom, "Photo validity" and Table 1
--
-- The one join over the whole log. Counts of disjoint sets of swipes add up, so that new swipes are
-- counted alone and added. Groups are numbers, since forty million swipes are grouped by them.
with attributed as (
    select
        recipient_timeline.stretch_no,
        case
            when user_genders.user_no = recipient_timeline.user_no then 4
            when gender_changes.user_no is null then user_genders.gender_no
            else gender_changes.gender_no
        end as sender_group,
        swipes.liked
    from swipes
    inner join recipient_timeline
        on swipes.recipient_id = recipient_timeline.user_id
        and swipes.swiped_at >= recipient_timeline.valid_from
        and swipes.swiped_at < recipient_timeline.valid_to
    left join user_genders on swipes.sender_id = user_genders.user_id
    left join gender_changes
        on user_genders.user_no = gender_changes.user_no
        and swipes.swiped_at >= gender_changes.valid_from
        and swipes.swiped_at < gender_changes.valid_to
)

select
    cast(stretch_no as integer) as stretch_no,                  -- of recipient_timeline
    cast(sender_group as integer) as sender_group,              -- gender_no of the sender; NULL: unknown, or not in users; 4: the recipient, credited to nothing
    cast(count(*) as bigint) as n_swipes,                       -- swipes
    cast(count(*) filter (where liked) as bigint) as n_likes    -- of these, to the right
from attributed
group by stretch_no, sender_group

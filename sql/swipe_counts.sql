-- swipe_counts: swipes received, counted by what they are credited to: the one pass over the log that labels stand on.
--
-- grain:  recipient_id, reason, photo_id, valid_from, sender_gender
-- reads:  swipes, recipient_timeline, user_genders
-- time:   a swipe belongs to the stretch of its recipient's time line that holds its instant
-- source: Bogatyy & Tom, "Photo validity" and Table 1
--
-- Counts of disjoint sets of swipes add up, so new swipes are counted alone and added.
with attributed as (
    select
        swipes.recipient_id,
        swipes.liked,
        user_genders.gender as sender_gender,
        case
            when swipes.sender_id = swipes.recipient_id then 'self_swipe'
            when recipient_timeline.user_id is null then 'unknown_recipient'
            else recipient_timeline.reason
        end as reason,
        case when swipes.sender_id <> swipes.recipient_id then recipient_timeline.photo_id end as photo_id,
        case when swipes.sender_id <> swipes.recipient_id then recipient_timeline.valid_from end as valid_from
    from swipes
    left join recipient_timeline
        on swipes.recipient_id = recipient_timeline.user_id
        and swipes.swiped_at >= recipient_timeline.valid_from
        and swipes.swiped_at < recipient_timeline.valid_to
    left join user_genders on swipes.sender_id = user_genders.user_id
)

select
    cast(recipient_id as varchar) as recipient_id,              -- who was shown
    cast(reason as varchar) as reason,                          -- the fate of these swipes, as in swipe_audit
    cast(photo_id as varchar) as photo_id,                      -- the photo they are credited to; NULL: none
    cast(valid_from as timestamp) as valid_from,                -- start of the stretch; NULL: none
    cast(sender_gender as varchar) as sender_gender,            -- of who swiped; NULL: unknown, or not in users
    cast(count(*) as bigint) as n_swipes,                       -- swipes
    cast(count(*) filter (where liked) as bigint) as n_likes    -- of these, to the right
from attributed
group by recipient_id, reason, photo_id, valid_from, sender_gender

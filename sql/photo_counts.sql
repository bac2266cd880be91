-- photo_counts: swipes credited to each photo in each time window, by the sender's gender.
--
-- grain:  photo_id, time_window, sender_gender
-- reads:  swipe_counts
-- time:   `latest`: since the owner last changed the main photo, as published; `every`: whenever the photo was main
-- source: Bogatyy & Tom, "Photo validity"
with credited as (
    select 'latest' as time_window, photo_id, recipient_id, sender_gender, n_swipes, n_likes
    from swipe_counts
    where reason = 'kept'
    union all
    select 'every' as time_window, photo_id, recipient_id, sender_gender, n_swipes, n_likes
    from swipe_counts
    where reason in ('kept', 'stale_photo')
)

select
    cast(photo_id as varchar) as photo_id,              -- the photo
    cast(recipient_id as varchar) as user_id,           -- its owner
    cast(time_window as varchar) as time_window,        -- latest, every
    cast(sender_gender as varchar) as sender_gender,    -- of who swiped; NULL: unknown
    cast(sum(n_swipes) as bigint) as n_swipes,          -- swipes
    cast(sum(n_likes) as bigint) as n_likes             -- of these, to the right
from credited
group by photo_id, recipient_id, time_window, sender_gender

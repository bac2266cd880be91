-- photo_counts: swipes credited to each photo in each time window.
--
-- grain:  photo_no, time_window
-- reads:  swipe_counts, recipient_timeline
-- time:   `latest`: since the owner last changed the main photo, as published; `every`: whenever the photo was main
-- source: Bogatyy & Tom, "Photo validity"
with credited as (
    select photo_no, reason, n_swipes, n_likes
    from swipe_counts
    inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
    where sender_group is distinct from 4 and photo_no is not null
),

counts as (
    select photo_no, 'latest' as time_window, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from credited
    where reason = 'kept'
    group by photo_no
    union all
    select photo_no, 'every' as time_window, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from credited
    group by photo_no
)

select
    cast(photo_no as integer) as photo_no,          -- of the photo in photo_owners
    cast(time_window as varchar) as time_window,    -- latest, every
    cast(n_swipes as bigint) as n_swipes,           -- swipes, at least 1
    cast(n_likes as bigint) as n_likes              -- of these, to the right
from counts

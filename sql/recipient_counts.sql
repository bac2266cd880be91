-- recipient_counts: how many swipes each recipient received, whatever became of them.
--
-- grain:  recipient_id
-- reads:  swipes
-- time:   as swipes
-- source: Bogatyy & Tom, "Photo validity": what swipe_counts lacks of it came before the first photo
select
    cast(recipient_id as varchar) as recipient_id,              -- who was shown; need not be in users
    cast(count(*) as bigint) as n_swipes,                       -- swipes received
    cast(count(*) filter (where liked) as bigint) as n_likes    -- of these, to the right
from swipes
group by recipient_id

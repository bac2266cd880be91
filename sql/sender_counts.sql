-- sender_counts: how many swipes each sender sent.
--
-- grain:  sender_id
-- reads:  swipes
-- time:   as swipes
-- source: Bogatyy & Tom: swipes sent, by gender
select
    cast(sender_id as varchar) as sender_id,    -- who swiped; need not be in users
    cast(count(*) as bigint) as n_swipes        -- swipes sent, whatever became of them
from swipes
group by sender_id

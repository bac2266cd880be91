-- owner_activity: the swipes that each user received lately.
--
-- grain:  user_id
-- reads:  swipes
-- time:   the last $days days before the newest swipe
-- source: an example of `features init`; change it, or remove it
-- parameters: days = 28
with newest as (
    select max(swiped_at) as swiped_at
    from swipes
)
select
    cast(swipes.recipient_id as varchar) as user_id,                  -- who received them
    cast(count(*) as bigint) as n_swipes,                             -- swipes
    cast(count(*) filter (where swipes.liked) as bigint) as n_likes,  -- of these, to the right
    cast(count(distinct swipes.sender_id) as bigint) as n_senders     -- who swiped, each counted once
from swipes
cross join newest
where date_diff('second', swipes.swiped_at, newest.swiped_at) < $days * 86400
group by swipes.recipient_id

-- swipes: one user saw the main photo of another user and swiped right (liked) or left.
--
-- grain:  one row per swipe
-- reads:  facts.swipes, clock
-- time:   swipes that happened and arrived before as_of
-- source: files of `features ingest swipes`
select
    cast(sender_id as varchar) as sender_id,       -- who swiped; need not be in users
    cast(recipient_id as varchar) as recipient_id, -- whose photo was shown
    cast(liked as boolean) as liked,               -- right
    cast(swiped_at as timestamp) as swiped_at      -- when
from facts.swipes
cross join clock
where swiped_at < as_of and ingested_at < as_of

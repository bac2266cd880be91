-- swipes: one user saw the main photo of another user and swiped right (liked) or left.
--
-- grain:  one row per swipe
-- reads:  facts.swipes, facts.replaced_swipes, clock
-- time:   swipes that happened before as_of, as far as they had arrived before known_at
-- source: files of `features ingest swipes`
--
-- A swipe that was corrected or retracted is here as it was known at known_at.
select
    cast(sender_id as varchar) as sender_id,       -- who swiped; need not be in users
    cast(recipient_id as varchar) as recipient_id, -- whose photo was shown
    cast(liked as boolean) as liked,               -- right
    cast(swiped_at as timestamp) as swiped_at,     -- when
    cast(event_id as varchar) as event_id          -- as given; NULL: none was given
from (
    select sender_id, recipient_id, liked, swiped_at, event_id
    from facts.swipes
    cross join clock
    where swiped_at < as_of and ingested_at < known_at
    union all
    select sender_id, recipient_id, liked, swiped_at, event_id
    from facts.replaced_swipes
    cross join clock
    where swiped_at < as_of and ingested_at < known_at and replaced_at >= known_at
) as known

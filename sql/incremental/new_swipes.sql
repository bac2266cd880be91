-- Swipes that the former build did not count: arrived after $until, or happened at or after its clock, $as_of.
select sender_id, recipient_id, liked, swiped_at
from facts.swipes
cross join clock
where ingested_at > $until and ingested_at < clock.as_of and swiped_at < clock.as_of
union all
select sender_id, recipient_id, liked, swiped_at
from facts.swipes
cross join clock
where ingested_at <= $until and swiped_at >= $as_of and swiped_at < clock.as_of

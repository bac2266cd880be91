-- Swipes that the former build did not count: of a later ingest than $batch, or at or after its clock, $as_of.
select sender_id, recipient_id, liked, swiped_at, event_id
from facts.swipes
cross join clock
where batch > $batch and swiped_at < clock.as_of
union all
select sender_id, recipient_id, liked, swiped_at, event_id
from facts.swipes
cross join clock
where batch <= $batch and swiped_at >= $as_of and swiped_at < clock.as_of

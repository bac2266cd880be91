-- Versions of swipes that the former build counted, and that a later ingest than $batch replaced or retracted.
select sender_id, recipient_id, liked, swiped_at, event_id
from facts.replaced_swipes
where batch <= $batch and replaced_batch > $batch and swiped_at < $as_of

-- The rows of swipes where the clock limits nothing, without the clock: DuckDB then knows how many rows there are.
select sender_id, recipient_id, liked, swiped_at, event_id
from facts.swipes
where swiped_at < timestamp '9999-12-31'

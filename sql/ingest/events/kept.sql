-- kept: the statements about the events of a file that the store keeps, and until when each version holds.
--
-- reads:  verdicts
-- parameters: $batch
--
-- A version holds until the next statement that is kept. A version that would hold for no instant is not kept
-- (`is_empty`); a retraction is, since it tells that the key belongs to the event. `is_changed`: the row of the store is
-- replaced, because its version ends, ends earlier, or has an event_id now.
with ended as (
    select
        *,
        least(
            replaced_at,
            lead(arrival) over (partition by name, if(name is null, key, null) order by arrival, is_new, rank)
        ) as until
    from verdicts
    where verdict is distinct from 'known'
)

select
    origin,
    places,
    coalesce(name, event_id) as event_id,
    key,
    value,
    retracted,
    arrival,
    batch,
    if(retracted, null, until) as until,
    coalesce(replaced_batch, $batch) as until_batch,
    not retracted and coalesce(until <= arrival, false) as is_empty,
    is_new or event_id is distinct from name or (not retracted and until is distinct from replaced_at) as is_changed
from ended

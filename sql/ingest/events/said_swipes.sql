-- said: what the rows of a file say about swipes: whether it was a like, or that there was none.
--
-- reads: odd
select
    line as no,
    event_id,
    case
        when sender_id is not null and recipient_id is not null and swiped_at is not null
            then struct_pack(sender_id := sender_id, recipient_id := recipient_id, swiped_at := swiped_at)
    end as key,
    if(retracted, null, [liked]) as value,
    retracted,
    arrival
from odd
where problem is null

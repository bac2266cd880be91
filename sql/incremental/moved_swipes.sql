-- Swipes that were counted before, still are, and have another photo, reason or gender than before.
select sender_id, recipient_id, liked, swiped_at, event_id
from facts.swipes
cross join clock
where
    batch <= $batch
    and swiped_at < $as_of
    and swiped_at < clock.as_of
    and (
        recipient_id in (select user_id from moved_users)
        or sender_id in (select user_id from moved_users where as_sender)
    )

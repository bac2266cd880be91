-- New swipes on recipients who did not move, and all swipes on recipients who moved.
select sender_id, recipient_id, liked, swiped_at, event_id
from new_swipes
anti join moved_recipients using (recipient_id)
union all
select sender_id, recipient_id, liked, swiped_at, event_id
from swipes
semi join moved_recipients using (recipient_id)

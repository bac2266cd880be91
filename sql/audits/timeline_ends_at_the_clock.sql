-- timeline_ends_at_the_clock: no photo became main at or after as_of
--
-- reads:  recipient_timeline, clock
select user_id, stretch_no, valid_from, as_of
from recipient_timeline
cross join clock
where valid_from >= as_of

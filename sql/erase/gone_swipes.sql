-- gone_swipes: the event_ids of swipes by or on erased users, in any version. Retractions may name nothing else.
select event_id
from facts.swipes
where event_id is not null and (sender_id in (from gone_users) or recipient_id in (from gone_users))
union
select event_id
from facts.replaced_swipes
where event_id is not null and (sender_id in (from gone_users) or recipient_id in (from gone_users))
union
select event_id
from facts.retracted_swipes
where event_id is not null and (sender_id in (from gone_users) or recipient_id in (from gone_users))

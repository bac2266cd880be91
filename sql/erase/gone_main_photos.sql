-- gone_main_photos: the event_ids of main-photo events of erased users, in any version. Retractions may name nothing else.
select event_id
from facts.main_photos
where event_id is not null and (user_id in (from gone_users) or photo_id in (from gone_photos))
union
select event_id
from facts.replaced_main_photos
where event_id is not null and (user_id in (from gone_users) or photo_id in (from gone_photos))
union
select event_id
from facts.retracted_main_photos
where event_id is not null and (user_id in (from gone_users))

-- gone_photos: every photo that was ever theirs.
select distinct photo_id
from facts.photos
semi join gone_users using (user_id)

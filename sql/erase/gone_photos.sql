-- gone_photos: every photo that ever belonged to an erased user.
select distinct photo_id
from facts.photos
semi join gone_users using (user_id)

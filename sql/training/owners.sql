-- The owner of every photo that is not deleted.
--
-- grain: photo_id
-- reads: photo_owners, deleted_photos, deleted_users
select photo_id, user_id
from photo_owners
anti join deleted_photos using (photo_id)
anti join deleted_users using (user_id)
order by photo_id

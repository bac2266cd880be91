-- The owner of every photo, and the gender of the owner.
--
-- grain: photo_id
-- reads: photos, users
select photos.photo_id, photos.user_id, users.gender
from photos
left join users on photos.user_id = users.user_id
order by photos.photo_id

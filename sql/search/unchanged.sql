-- Photos of another moment whose bytes are those of now, so that the stored vectors are theirs.
--
-- grain: photo_id
-- reads: photos; store.main.photos, the published ones
select photos.photo_id
from photos
inner join store.main.photos as photos_now
    on photos.photo_id = photos_now.photo_id and photos.sha256 is not distinct from photos_now.sha256

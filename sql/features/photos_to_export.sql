-- photos_to_export: the photos of the snapshot whose bytes are in the store, without those that were deleted since.
--
-- grain: photo_id
-- reads: photos
select
    photo_id,
    user_id,
    sha256,
    width,
    height
from photos
where status = 'ok' and sha256 is not null
order by photo_id

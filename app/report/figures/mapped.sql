-- Photos for the map, with their like ratio if known.
--
-- grain: photo_id
-- reads: photos, photo_labels
select
    photos.photo_id,
    photos.sha256,
    photo_labels.value as like_ratio
from photos
left join photo_labels on photos.photo_id = photo_labels.photo_id and photo_labels.source = 'swipes'
where photos.sha256 is not null and photos.status = 'ok'
order by photos.photo_id

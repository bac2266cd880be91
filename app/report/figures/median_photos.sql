-- Photos near percentile 35, as queries for similar popular photos.
--
-- grain: photo_id
-- reads: photo_labels, photos, photo_setups
select
    photo_labels.photo_id,
    photo_labels.user_id,
    photo_labels.gender,
    photos.sha256,
    photo_labels.value as like_ratio,
    photo_labels.weight,
    photo_labels.percentile,
    photo_labels.popular
from photo_labels
inner join photos on photo_labels.photo_id = photos.photo_id
inner join photo_setups on photo_labels.photo_id = photo_setups.photo_id and photo_setups.setup = 'one_face'
where photo_labels.source = 'swipes' and photos.sha256 is not null and photos.status = 'ok' and photo_labels.weight >= 20
order by abs(photo_labels.percentile - 35), photo_labels.photo_id
limit 3

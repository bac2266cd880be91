-- Columns that a `--where` predicate of search can name: each label with its photo and the owner.
--
-- grain: photo_id, source
-- reads: photo_labels, photos, users
select
    photo_labels.photo_id,
    photo_labels.user_id,
    photo_labels.gender,
    photo_labels.source,
    photo_labels.value,
    photo_labels.value as like_ratio,
    photo_labels.weight,
    photo_labels.popular,
    photo_labels.percentile,
    photos.path,
    photos.url,
    photos.sha256,
    photos.width,
    photos.height,
    photos.posted_at,
    photos.likes,
    photos.hashtags,
    photos.status,
    users.followers,
    users.created_at
from photo_labels
inner join photos on photo_labels.photo_id = photos.photo_id
left join users on photo_labels.user_id = users.user_id

-- The columns of photos.sql for a store without labels.
--
-- grain: photo_id
-- reads: photos, users
select
    photos.photo_id,
    photos.user_id,
    users.gender,
    photos.sha256,
    photos.width,
    photos.height,
    photos.status,
    photos.path,
    cast(null as varchar) as source,
    cast(null as double) as like_ratio,
    cast(null as double) as weight,
    cast(null as boolean) as popular,
    cast(null as double) as percentile,
    cast(null as boolean) as gender_popular,
    cast(null as double) as gender_percentile,
    cast(null as varchar) as split_all,
    cast(null as varchar) as split_one_face
from photos
left join users on photos.user_id = users.user_id
order by photos.photo_id

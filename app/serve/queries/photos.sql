-- All photos with the columns that pages and answers show. A label from swipes has precedence over one from posts.
--
-- grain: photo_id
-- reads: photos, users, photo_labels, photo_setups
with first_labels as (
    select
        *,
        value > median(value) over (partition by source, gender) as gender_popular,
        1e2 * percent_rank() over (partition by source, gender order by value) as gender_percentile
    from photo_labels
    qualify row_number() over (partition by photo_id order by source desc) = 1
),
setups as (
    select
        photo_id,
        max(split) filter (where setup = 'all') as split_all,
        max(split) filter (where setup = 'one_face') as split_one_face
    from photo_setups
    group by photo_id
)
select
    photos.photo_id,
    photos.user_id,
    users.gender,
    photos.sha256,
    photos.width,
    photos.height,
    photos.status,
    photos.path,
    first_labels.source,
    first_labels.value as like_ratio,
    first_labels.weight,
    first_labels.popular,
    first_labels.percentile,
    first_labels.gender_popular,
    first_labels.gender_percentile,
    setups.split_all,
    setups.split_one_face
from photos
left join users on photos.user_id = users.user_id
left join first_labels on photos.photo_id = first_labels.photo_id
left join setups on photos.photo_id = setups.photo_id
order by photos.photo_id

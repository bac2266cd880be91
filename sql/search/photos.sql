-- Every photo with the columns of a search result, and its label if it has one: from swipes, else from posts.
--
-- grain: photo_id
-- reads: photos, photo_labels
with first_labels as (
    select *
    from photo_labels
    qualify row_number() over (partition by photo_id order by source desc) = 1
)

select
    photos.photo_id,
    photos.user_id,
    first_labels.value as like_ratio,
    first_labels.weight,
    first_labels.percentile,
    first_labels.popular,
    first_labels.source,
    photos.path
from photos
left join first_labels on photos.photo_id = first_labels.photo_id

-- Every photo with its owner and each of its labels, that from swipes before that from posts: what the oracle knows.
-- The labels of photos that left the store since then are those with which the others are compared.
select
    coalesce(photos.photo_id, photo_labels.photo_id) as photo_id,
    photos.photo_id is not null as is_there,
    coalesce(photos.user_id, photo_labels.user_id) as user_id,
    photos.path,
    photos.width,
    case when photo_labels.source is null then users.gender else photo_labels.gender end as gender,
    users.followers,
    photo_labels.source,
    photo_labels.value,
    photo_labels.weight,
    photo_labels.popular,
    photo_labels.percentile,
    case
        when photo_labels.source = 'swipes' then like_ratios.smoothed_ratio
        else photo_labels.value
    end as smoothed,
    (select alpha / (alpha + beta) from like_ratio_prior where time_window = 'every') as prior
from photos
full join photo_labels on photos.photo_id = photo_labels.photo_id
left join users on users.user_id = coalesce(photos.user_id, photo_labels.user_id)
left join like_ratios on photo_labels.photo_id = like_ratios.photo_id and like_ratios.time_window = 'every'
order by 1, photo_labels.source desc

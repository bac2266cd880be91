-- labels_rest_on_ratios: a label of swipes is a like ratio of its photo, a label of posts a ratio that was kept
--
-- reads:  photo_labels, like_ratios, follower_ratios
with labels as (
    select photo_labels.*, like_ratios.photo_id is not null as is_found
    from photo_labels
    left join like_ratios
        on photo_labels.photo_id = like_ratios.photo_id
        and photo_labels.value = like_ratios.like_ratio
        and photo_labels.weight = cast(like_ratios.n_swipes as double)
    where source = 'swipes'
    union all
    select photo_labels.*, follower_ratios.photo_id is not null as is_found
    from photo_labels
    left join follower_ratios
        on photo_labels.photo_id = follower_ratios.photo_id
        and photo_labels.value = follower_ratios.ratio
        and follower_ratios.dropped is null
    where source = 'posts'
)

select photo_id, user_id, source, value, weight
from labels
where not is_found

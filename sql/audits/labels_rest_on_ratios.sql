-- labels_rest_on_ratios: a label of swipes is a like ratio of its photo, a label of posts a ratio that was kept
--
-- reads:  photo_labels, like_ratios, follower_ratios
with of_swipes as (
    select photo_labels.*, like_ratios.photo_id is not null as is_found
    from like_ratios
    right join photo_labels
        on like_ratios.photo_id = photo_labels.photo_id
        and like_ratios.like_ratio = photo_labels.value
        and cast(like_ratios.n_swipes as double) = photo_labels.weight
),

of_posts as (
    select photo_labels.*, follower_ratios.photo_id is not null as is_found
    from follower_ratios
    right join photo_labels
        on follower_ratios.photo_id = photo_labels.photo_id
        and follower_ratios.ratio = photo_labels.value
        and follower_ratios.dropped is null
)

select photo_id, user_id, source, value, weight
from of_swipes
where source = 'swipes' and not is_found
union all
select photo_id, user_id, source, value, weight
from of_posts
where source = 'posts' and not is_found

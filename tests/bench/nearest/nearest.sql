-- For each of 1,000 photos its 5 nearest popular photos of other owners of the opposite gender, and their like ratios.
with asked as (
    select vectors.photo_id, vectors.embedding, photos.user_id, users.gender
    from vectors_efficientnet_lite0 as vectors
    inner join photos on vectors.photo_id = photos.photo_id
    inner join users on photos.user_id = users.user_id
    where users.gender in ('female', 'male')
    order by vectors.photo_id
    limit 1000
),

popular as (
    select vectors.photo_id, vectors.embedding, labels.user_id, labels.gender
    from vectors_efficientnet_lite0 as vectors
    inner join photo_labels as labels on vectors.photo_id = labels.photo_id
    where labels.popular and labels.source = 'swipes' and labels.gender in ('female', 'male')
)

select
    asked.photo_id,
    near.photo_id as neighbour_id,
    array_cosine_distance(asked.embedding, near.embedding) as distance,
    ratios.like_ratio,
    ratios.n_swipes
from asked
inner join lateral (
    from popular where popular.user_id <> asked.user_id and popular.gender <> asked.gender
) as near
    exact nearest 5 by distance array_cosine_distance(asked.embedding, near.embedding)
inner join like_ratios as ratios on near.photo_id = ratios.photo_id and ratios.time_window = 'every'

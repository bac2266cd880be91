-- photo_labels: what a model learns: one value per photo, how much it weighs, and whether it beats the median.
--
-- grain:  photo_id, source
-- reads:  like_ratios, user_genders
-- time:   swipes of the window $window
-- source: Bogatyy & Tom, "Label" and "Weight"
-- parameters: window, min_swipes
with labels as (
    select
        photo_id,
        user_id,
        'swipes' as source,
        like_ratio as value,
        cast(n_swipes as double) as weight,
        'all' as peers
    from like_ratios
    where time_window = $window and n_swipes >= $min_swipes
),

ranked as (
    select
        labels.*,
        value > median(value) over (partition by source, peers) as popular,
        1e2 * percent_rank() over (partition by source, peers order by value) as percentile
    from labels
)

select
    cast(ranked.photo_id as varchar) as photo_id,      -- the photo
    cast(ranked.user_id as varchar) as user_id,        -- its owner
    cast(user_genders.gender as varchar) as gender,    -- of the owner; NULL: unknown
    cast(ranked.source as varchar) as source,          -- swipes, posts
    cast(ranked.value as double) as value,             -- swipes: like ratio
    cast(ranked.weight as double) as weight,           -- swipes: how many the value stands on
    cast(ranked.popular as boolean) as popular,        -- value above the median of the label set
    cast(ranked.percentile as double) as percentile    -- share of the other labels that are lower, 0 to 100
from ranked
left join user_genders on ranked.user_id = user_genders.user_id

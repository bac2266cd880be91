-- like_ratios: the share of right swipes among those a photo received, and how sure it is.
--
-- grain:  photo_id, time_window
-- reads:  photo_counts, photo_owners, like_ratio_prior
-- time:   `latest`: since the owner last changed the main photo, as published; `every`: whenever the photo was main
-- source: Bogatyy & Tom, "Label"; Wilson 1927 (JASA 22, 209-212) at 95 %
--
-- A photo that received no swipe in a window has no row there.
with ratios as (
    select
        photo_counts.*,
        cast(n_likes as double) / nullif(n_swipes, 0) as p,
        cast(n_swipes as double) as n,
        1.959963984540054e0 * 1.959963984540054e0 as z2
    from photo_counts
),

intervals as (
    select
        ratios.*,
        (p + z2 / (2e0 * n)) / (1e0 + z2 / n) as centre,
        1.959963984540054e0 * sqrt(p * (1e0 - p) / n + z2 / (4e0 * n * n)) / (1e0 + z2 / n) as reach
    from ratios
)

select
    cast(photo_owners.photo_id as varchar) as photo_id,           -- the photo
    cast(photo_owners.user_id as varchar) as user_id,             -- its owner
    cast(intervals.time_window as varchar) as time_window,     -- latest, every
    cast(n_likes as bigint) as n_likes,                        -- swipes to the right
    cast(n_swipes as bigint) as n_swipes,                      -- all swipes, at least 1
    cast(p as double) as like_ratio,                           -- n_likes / n_swipes
    cast(case when n_likes = 0 then 0e0 else centre - reach end as double) as ci_low,         -- Wilson interval, 95 %
    cast(case when n_likes = n_swipes then 1e0 else centre + reach end as double) as ci_high, -- Wilson interval, 95 %
    cast((n_likes + alpha) / (n_swipes + alpha + beta) as double) as smoothed_ratio           -- mean of the posterior under like_ratio_prior
from intervals
inner join photo_owners on intervals.photo_no = photo_owners.photo_no
inner join like_ratio_prior on intervals.time_window = like_ratio_prior.time_window

-- How popular each labeled photo is, in the order of a search.
--
-- grain: photo_id, source
-- reads: photo_labels, like_ratios
-- parameters: window
--
-- like_ratio is that of swipes smoothed by like_ratio_prior; of posts, likes / followers as they are. percentile is the
-- share of the other labels of the same source and gender that are lower, 0 to 100.
select
    photo_labels.photo_id,
    photo_labels.source,
    coalesce(like_ratios.smoothed_ratio, photo_labels.value) as like_ratio,
    1e2 * percent_rank() over (
        partition by photo_labels.source, photo_labels.gender order by photo_labels.value
    ) as percentile
from photo_labels
left join like_ratios
    on photo_labels.photo_id = like_ratios.photo_id
    and photo_labels.source = 'swipes'
    and like_ratios.time_window = $window

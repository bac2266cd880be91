-- ratios_in_range: a ratio lies in its interval, the interval in [0, 1], and every value is a number
--
-- reads:  like_ratios
select photo_id, time_window, n_likes, n_swipes, like_ratio, ci_low, ci_high, smoothed_ratio
from like_ratios
where not coalesce(
    n_swipes >= 1
    and n_likes between 0 and n_swipes
    and ci_low between 0e0 and like_ratio
    and ci_high between like_ratio and 1e0
    and smoothed_ratio between 0e0 and 1e0,
    false
)

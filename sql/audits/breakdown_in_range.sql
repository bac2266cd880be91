-- breakdown_in_range: mean and pooled ratios of a group lie in [0, 1]
--
-- reads:  gender_breakdown
select time_window, sender_gender, recipient_gender, n_recipients, n_swipes, n_likes, like_ratio, mean_like_ratio
from gender_breakdown
where not coalesce(
    n_recipients between 1 and n_swipes
    and n_likes between 0 and n_swipes
    and like_ratio between 0e0 and 1e0
    and mean_like_ratio between 0e0 and 1e0,
    false
)

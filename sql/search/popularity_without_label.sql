-- How popular a photo without a label counts: as one that received no swipe, or as the median of posts.
--
-- grain: one row
-- reads: photo_labels, like_ratio_prior
-- parameters: window
--
-- The mean of like_ratio_prior is the smoothed like ratio of a photo without swipes. A store without labels from swipes
-- takes the median of its posts.
select
    coalesce(
        max(alpha / (alpha + beta)) filter (where (select count(*) from photo_labels where source = 'swipes') > 0),
        (select median(value) from photo_labels),
        0e0
    ) as like_ratio,
    5e1 as percentile
from like_ratio_prior
where time_window = $window

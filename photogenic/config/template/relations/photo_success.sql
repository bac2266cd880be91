-- photo_success: the share of likes of each photo, over all swipes that met it.
--
-- grain:  photo_id
-- reads:  like_ratios
-- time:   as like_ratios
-- source: an example of `features init`; change it, or remove it
select
    cast(photo_id as varchar) as photo_id,     -- the photo
    cast(like_ratio as double) as like_ratio,  -- likes / swipes, 0 to 1
    cast(n_swipes as bigint) as n_swipes       -- swipes
from like_ratios
where time_window = 'every'

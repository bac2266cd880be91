-- Swipes that a photo received per week while it was the main photo of its owner.
--
-- grain: week
-- reads: photo_swipes
select
    cast(date_trunc('week', swiped_at) as date) as week,
    count(*) filter (where liked) as n_likes,
    count(*) filter (where not liked) as n_passes
from photo_swipes
where photo_id = $id
group by week
order by week

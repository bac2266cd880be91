-- Swipes that a photo received per week while it was the main photo of its owner.
--
-- grain: week
-- reads: photo_periods, swipes
select
    cast(date_trunc('week', swipes.swiped_at) as date) as week,
    count(*) filter (where swipes.liked) as n_likes,
    count(*) filter (where not swipes.liked) as n_passes
from photo_periods
inner join swipes
    on swipes.recipient_id = photo_periods.user_id
    and swipes.swiped_at >= photo_periods.valid_from
    and (photo_periods.valid_to is null or swipes.swiped_at < photo_periods.valid_to)
where photo_periods.photo_id = $id
group by week
order by week

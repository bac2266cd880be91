-- photo_periods: when each photo was its owner's main photo.
--
-- grain:  photo_id, valid_from
-- reads:  recipient_timeline
-- time:   [valid_from, valid_to); periods of one user never overlap
-- source: Bogatyy & Tom, "Photo validity"
select
    cast(photo_id as varchar) as photo_id,       -- the photo
    cast(user_id as varchar) as user_id,         -- its owner
    cast(main_since as timestamp) as valid_from, -- inclusive
    cast(case when max(valid_to) < timestamp '9999-12-31' then max(valid_to) end as timestamp) as valid_to -- exclusive; NULL: still main
from recipient_timeline
where photo_id is not null
group by photo_id, user_id, main_since

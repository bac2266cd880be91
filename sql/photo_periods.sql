-- photo_periods: when each photo was its owner's main photo.
--
-- grain:  photo_id, valid_from
-- reads:  recipient_timeline, gender_changes
-- time:   [valid_from, valid_to); periods of one user never overlap
-- source: Bogatyy & Tom, "Photo validity"
with periods as (
    select photo_id, user_id, main_since, valid_to
    from recipient_timeline
    anti join gender_changes using (user_no)
    where photo_id is not null
    union all
    select photo_id, user_id, main_since, max(valid_to) as valid_to
    from recipient_timeline
    semi join gender_changes using (user_no)
    where photo_id is not null
    group by photo_id, user_id, main_since
)

select
    cast(photo_id as varchar) as photo_id,       -- the photo
    cast(user_id as varchar) as user_id,         -- its owner
    cast(main_since as timestamp) as valid_from, -- inclusive
    cast(case when valid_to < timestamp '9999-12-31' then valid_to end as timestamp) as valid_to -- exclusive; NULL: still main
from periods

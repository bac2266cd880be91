-- photo_owners: whose photo it is: the user it was ingested with, else the first who showed it.
--
-- grain:  photo_id
-- reads:  photos, main_photos
-- time:   as photos and main_photos
-- source: two users may claim one photo; a label must belong to one of them
with claims as (
    select photo_id, user_id, 0 as claim_rank, cast(null as timestamp) as claimed_at
    from photos
    union all
    select photo_id, user_id, 1 as claim_rank, set_at as claimed_at
    from main_photos
    where photo_id is not null
)

select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(user_id as varchar) as user_id    -- its owner
from claims
qualify row_number() over (partition by photo_id order by claim_rank, claimed_at, user_id) = 1

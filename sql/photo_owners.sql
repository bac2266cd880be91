-- photo_owners: whose photo it is: the user it was ingested with, else the first who showed it.
--
-- grain:  photo_id
-- reads:  photos, deleted_photos, main_photos
-- time:   as the relations read; a deleted photo keeps its owner
-- source: two users may claim one photo; a label must belong to one of them
with given as (
    select photo_id, user_id, posted_at
    from photos
    union all
    select photo_id, user_id, posted_at
    from deleted_photos
),

shown_only as (
    select photo_id, user_id, set_at
    from main_photos
    anti join given using (photo_id)
    where photo_id is not null
),

owners as (
    select photo_id, user_id, posted_at
    from given
    union all
    select photo_id, user_id, cast(null as timestamp) as posted_at
    from shown_only
    qualify row_number() over (partition by photo_id order by set_at, user_id) = 1
)

select
    cast(row_number() over (order by photo_id) as integer) as photo_no, -- from 1, by photo_id; may change between builds
    cast(photo_id as varchar) as photo_id,                              -- the photo
    cast(user_id as varchar) as user_id,                                -- its owner
    cast(posted_at as timestamp) as posted_at                           -- when it went online; NULL: unknown
from owners

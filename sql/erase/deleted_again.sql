-- A version for each photo that a backup brought back after it was purged: it is deleted since then.
--
-- reads:      returned: the photos and when they were purged
-- parameters: $now: its arrival
insert into facts.photos by name
with newest as (
    select photos.*, returned.purged_at
    from facts.photos
    inner join returned using (photo_id)
    qualify row_number() over (
        partition by photo_id order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc
    ) = 1
)

select
    * exclude (purged_at) replace (
        purged_at as deleted_at,
        cast($now as timestamp) as ingested_at,
        case when updated_at > $now then updated_at end as updated_at,
        0 as batch
    )
from newest
where deleted_at is null

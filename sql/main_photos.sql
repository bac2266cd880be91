-- main_photos: each time a user chose, or removed, the photo shown first.
--
-- grain:  one row per event as given; repeats are possible
-- reads:  facts.main_photos, clock
-- time:   events that happened and arrived before as_of
-- source: files of `features ingest main-photos`, `set_at` of photos files
select
    cast(user_id as varchar) as user_id,   -- the user whose main photo changes
    cast(photo_id as varchar) as photo_id, -- the photo shown from then on; NULL: removed
    cast(set_at as timestamp) as set_at    -- the instant of the change
from facts.main_photos
cross join clock
where set_at < as_of and ingested_at < as_of

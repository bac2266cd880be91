-- main_photos: each time a user chose, or removed, the photo shown first.
--
-- grain:  one row per event as given; repeats are possible
-- reads:  facts.main_photos, facts.replaced_main_photos, clock
-- time:   events that happened before as_of, as far as they had arrived before known_at
-- source: files of `features ingest main-photos`, `set_at` of photos files
--
-- An event that was corrected or retracted is here as it was known at known_at.
select
    cast(user_id as varchar) as user_id,   -- the user whose main photo changes
    cast(photo_id as varchar) as photo_id, -- the photo shown from then on; NULL: removed
    cast(set_at as timestamp) as set_at    -- the instant of the change
from (
    select user_id, photo_id, set_at
    from facts.main_photos
    cross join clock
    where set_at < as_of and ingested_at < known_at
    union all
    select user_id, photo_id, set_at
    from facts.replaced_main_photos
    cross join clock
    where set_at < as_of and ingested_at < known_at and replaced_at >= known_at
) as known

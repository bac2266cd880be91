-- clock: the moment of all relations: what had happened by it, and what was known of that; one row.
--
-- grain:  one row
-- reads:  facts.clock
-- time:   as_of limits when facts happened, known_at when they arrived
-- source: `features build --as-of T --known-at K --publish`, and the same options of readers
select
    cast(as_of as timestamp) as as_of,              -- only what had happened before; 9999-12-31: everything
    cast(known_at as timestamp) as known_at,        -- only what had arrived before; 9999-12-31: everything
    cast(observed_at as timestamp) as observed_at   -- ages are counted up to here: as_of, or the newest arrival of photos
from facts.clock

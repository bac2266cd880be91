-- clock: the instant as of which everything here is true; one row.
--
-- grain:  one row
-- reads:  facts.clock
-- time:   as_of bounds both clocks: what happened, and what had arrived, before it
-- source: `features build --as-of T`
select
    cast(as_of as timestamp) as as_of,              -- only what happened and arrived before; 9999-12-31: everything
    cast(observed_at as timestamp) as observed_at   -- ages are counted up to here: as_of, or the newest arrival of photos
from facts.clock

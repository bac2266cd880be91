-- clock: the instant as of which all relations are computed; one row.
--
-- grain:  one row
-- reads:  facts.clock
-- time:   as_of limits both clocks: only facts that happened and had arrived before it count
-- source: `features build --as-of T`
select
    cast(as_of as timestamp) as as_of,              -- only what happened and arrived before; 9999-12-31: everything
    cast(observed_at as timestamp) as observed_at   -- ages are counted up to here: as_of, or the newest arrival of photos
from facts.clock

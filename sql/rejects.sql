-- rejects: every refused row of a file, with the reason.
--
-- grain:  one row per refused row
-- reads:  facts.rejects
-- time:   all files ingested so far, independent of the clock
-- source: the checks of `features ingest`
select
    cast(kind as varchar) as kind,                 -- users, photos, main_photos, swipes
    cast(source as varchar) as source,             -- the file
    cast(line as bigint) as line,                  -- line in the file, from 1; NULL: the format has no lines
    cast(reason as varchar) as reason,             -- from a closed list
    cast(detail as varchar) as detail,             -- the offending value
    cast(raw as varchar) as raw,                   -- the row as JSON
    cast(ingested_at as timestamp) as ingested_at  -- when the file arrived
from facts.rejects

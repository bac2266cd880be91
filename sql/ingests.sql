-- ingests: each file that was taken in, and what became of its rows.
--
-- grain:  ingest_no
-- reads:  facts.ingests
-- time:   all files so far, independent of the clock
-- source: `features ingest`
--
-- n_read = n_new + n_corrected + n_retracted + n_known + n_refused. The refused rows are in `rejects`.
select
    cast(batch as integer) as ingest_no,             -- from 1, in the order of loading
    cast(kind as varchar) as kind,                   -- users, photos, main_photos, swipes
    cast(source as varchar) as source,               -- the file, as given
    cast(sha256 as varchar) as sha256,               -- of its bytes
    cast(n_read as bigint) as n_read,                -- rows of the file
    cast(n_new as bigint) as n_new,                  -- about something that the store did not have
    cast(n_corrected as bigint) as n_corrected,      -- that replaced values of the store
    cast(n_retracted as bigint) as n_retracted,      -- that took something back
    cast(n_known as bigint) as n_known,              -- that the store had already
    cast(n_refused as bigint) as n_refused,          -- in rejects
    cast(refused as varchar) as refused,             -- JSON: reason -> number of refused rows
    cast(duration_s as double) as duration_s,        -- seconds that it took to load
    cast(ingested_at as timestamp) as ingested_at    -- when it was loaded
from facts.ingests

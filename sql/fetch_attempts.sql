-- fetch_attempts: each attempt to download a photo.
--
-- grain:  photo_id, attempt, started_at
-- reads:  facts.fetch_attempts
-- time:   all attempts so far, independent of the clock
-- source: `features fetch`
select
    cast(photo_id as varchar) as photo_id,         -- the photo
    cast(url as varchar) as url,                   -- address of the download
    cast(status as varchar) as status,             -- from a closed list
    cast(detail as varchar) as detail,             -- message of the server or the network
    cast(attempt as integer) as attempt,           -- number of the attempt, from 1
    cast(started_at as timestamp) as started_at,   -- when it began
    cast(duration_s as double) as duration_s,      -- seconds
    cast(bytes as bigint) as bytes                 -- received
from facts.fetch_attempts

-- builds: each run of `features build`.
--
-- grain:  build_id
-- reads:  facts.builds
-- time:   all builds so far, independent of the clock
-- source: `features build`
select
    cast(build_id as varchar) as build_id,          -- id of the build
    cast(as_of as timestamp) as as_of,              -- only what had happened before counted; NULL: everything
    cast(known_at as timestamp) as known_at,        -- only what had arrived before counted; NULL: everything
    cast(options as varchar) as options,            -- JSON: options of the build
    cast(stages as varchar) as stages,              -- JSON: result and seconds of each stage
    cast(started_at as timestamp) as started_at,    -- when it began
    cast(finished_at as timestamp) as finished_at   -- when it ended
from facts.builds

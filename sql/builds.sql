-- builds: each time the store was brought up to date.
--
-- grain:  build_id
-- reads:  facts.builds
-- time:   all builds so far, whatever the clock
-- source: `features build`
select
    cast(build_id as varchar) as build_id,          -- names the build
    cast(as_of as timestamp) as as_of,              -- the clock; NULL: everything known
    cast(options as varchar) as options,            -- JSON: what was asked for
    cast(stages as varchar) as stages,              -- JSON: what each stage did, and its seconds
    cast(started_at as timestamp) as started_at,    -- when it began
    cast(finished_at as timestamp) as finished_at   -- when it ended
from facts.builds

-- source_positions: how far each source has been read.
--
-- grain:  source, part
-- reads:  facts.source_positions
-- time:   the present, independent of the clock
-- source: `features sync`, `features listen`
--
-- A position is written in the transaction of the rows up to it. Times in `position` are numbers since 1970:
-- microseconds of a watermark, seconds of `synced_at`. `features status` prints them as times.
select
    cast(source as varchar) as source,              -- name in photogenic.toml, or address of a stream
    cast(part as varchar) as part,                  -- file, object or partition; empty: the source as a whole
    cast(position as varchar) as position,          -- JSON: watermark, state of an object, next offset
    cast(ingested_at as timestamp) as ingested_at   -- when it was written
from facts.source_positions

-- observations: every observation of an account or a post on a network, with its followers and likes.
--
-- grain:  kind, object_id, observed_at
-- reads:  facts.observations, clock
-- time:   observations before as_of whose rows had arrived before known_at
-- source: `features crawl`
select
    cast(seen.kind as varchar) as kind,                    -- account, post
    cast(seen.object_id as varchar) as object_id,          -- user_id of an account, photo_id of a post
    cast(seen.followers as bigint) as followers,           -- followers of an account; NULL: a post
    cast(seen.posts as bigint) as posts,                   -- posts of an account, as the network counts them; NULL: a post
    cast(seen.likes as bigint) as likes,                   -- count of a post; NULL: an account, or hidden
    cast(seen.comments as bigint) as comments,             -- count of a post; NULL: an account, or hidden
    cast(seen.observed_at as timestamp) as observed_at,    -- when it was observed
    cast(seen.ingested_at as timestamp) as ingested_at     -- when the row arrived in the store
from facts.observations as seen
cross join clock
where seen.observed_at < clock.as_of and seen.ingested_at < clock.known_at

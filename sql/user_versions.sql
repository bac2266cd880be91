-- user_versions: each known version of each user, with the instant from which it holds.
--
-- grain:  user_id, valid_from
-- reads:  facts.users, clock
-- time:   versions that had arrived before known_at; `updated_at`, where given, before as_of
-- source: files of `features ingest users`, crawled profiles
--
-- If several versions hold from one instant, the one that arrived last counts.
select
    cast(user_id as varchar) as user_id,                                    -- as given
    cast(coalesce(updated_at, ingested_at) as timestamp) as valid_from,     -- updated_at, else arrival
    cast(gender as varchar) as gender,                                      -- female, male, other; NULL: unknown
    cast(followers as bigint) as followers                                  -- followers on the network of the posts; NULL: unknown
from facts.users
cross join clock
where ingested_at < known_at and coalesce(updated_at < as_of, true)
qualify row_number() over (
    partition by user_id, coalesce(updated_at, ingested_at)
    order by ingested_at desc, batch desc, gender, followers, created_at
) = 1

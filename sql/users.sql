-- users: every known user whose account lasts, in the newest version.
--
-- grain:  user_id
-- reads:  facts.users, clock
-- time:   the newest version that had arrived before known_at; users created before as_of, and not deleted before it
-- source: files of `features ingest users`, crawled profiles
--
-- The newest version is the one with the latest updated_at; a version without it became true when it arrived.
with versions as (
    select given.*
    from facts.users as given
    cross join clock
    where ingested_at < known_at and coalesce(updated_at < as_of, true)
    qualify row_number() over (
        partition by user_id
        order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc, gender, followers, created_at
    ) = 1
)

select
    cast(user_id as varchar) as user_id,        -- as given
    cast(gender as varchar) as gender,          -- female, male, other; NULL: unknown
    cast(followers as bigint) as followers,     -- followers on the network of the posts; NULL: unknown
    cast(created_at as timestamp) as created_at -- when the account was opened; NULL: unknown
from versions
cross join clock
where coalesce(created_at < as_of, true) and coalesce(deleted_at >= as_of, true)

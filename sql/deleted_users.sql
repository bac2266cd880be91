-- deleted_users: every known user whose account had ended, in the newest version.
--
-- grain:  user_id
-- reads:  facts.users, clock
-- time:   accounts that ended before as_of, as far as it was known at known_at
-- source: `deleted_at` or `deleted` in files of `features ingest users`; `features retract users`
--
-- They are not in users. What they had swiped, and how their photos were swiped, still counts.
with versions as (
    select given.*
    from facts.users as given
    semi join (select user_id from facts.users where deleted_at is not null) as candidates using (user_id)
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
    cast(created_at as timestamp) as created_at, -- when the account was opened; NULL: unknown
    cast(deleted_at as timestamp) as deleted_at -- when it ended
from versions
cross join clock
where coalesce(created_at < as_of, true) and deleted_at < as_of

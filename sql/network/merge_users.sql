-- merge_users: accounts seen for the first time or with another follower count, as rows of facts.users.
--
-- grain:      user_id
-- reads:      pages, facts.users
-- time:       the last observation in the segment, compared with the newest stored version; columns that the
--             network lacks (gender, created_at, deleted_at) keep their values
-- source:     `features crawl`
-- parameters: now
with seen as (
    select account.user_id as user_id, account.followers as followers
    from pages
    where account is not null
    qualify row_number() over (partition by account.user_id order by observed_at desc) = 1
),

held as (
    select users.*
    from facts.users as users
    semi join seen on users.user_id = seen.user_id
    qualify row_number() over (
        partition by users.user_id
        order by
            coalesce(users.updated_at, users.ingested_at) desc, users.ingested_at desc, users.batch desc,
            users.gender, users.followers
    ) = 1
)

select
    seen.user_id,
    held.gender,
    coalesce(seen.followers, held.followers) as followers,
    held.created_at,
    held.deleted_at,
    $now as ingested_at
from seen
left join held on seen.user_id = held.user_id
where held.user_id is null or seen.followers <> held.followers or held.followers is null and seen.followers is not null

-- new_users: each row of a file about a user as a version, and what it brings: `new`, `corrected`, `retracted`, `known`.
--
-- parameters: has_gender, has_followers, has_created_at,
--             has_deleted_at: whether the file has the column; retract: whether every row deletes its user
--
-- A version is true from its updated_at on; without it, from its arrival. Columns that the file lacks keep the values
-- of the version before. A version older than the newest one changes nothing for who reads the newest: it counts as
-- `known`, and is stored for who reads an earlier moment. `is_back`: without updated_at, a row returned to values that
-- the user had before.
with given as (
    select
        judged.* exclude (ingested_at, arrival),
        judged.arrival as ingested_at,
        coalesce(judged.updated_at, judged.arrival) as true_from
    from judged
    where verdict is null and is_last
),

stored as (
    select
        users.*,
        coalesce(users.updated_at, users.ingested_at) as true_from,
        {gender: users.gender, followers: users.followers, created_at: users.created_at, deleted_at: users.deleted_at} as content
    from facts.users
    semi join judged on users.user_id = judged.user_id
),

held as (
    select stored.*, given.line
    from given
    inner join stored
        on given.user_id = stored.user_id
        and given.true_from >= stored.true_from
        and given.ingested_at >= stored.ingested_at
    qualify row_number() over (
        partition by given.line
        order by stored.true_from desc, stored.ingested_at desc, stored.batch desc, stored.gender, stored.followers
    ) = 1
),

newest as (
    select user_id, max({instant: true_from, arrived: ingested_at}) as stands
    from stored
    group by user_id
),

versions as (
    select
        given.line,
        given.user_id,
        case when $has_gender then given.gender else held.gender end as gender,
        case when $has_followers then given.followers else held.followers end as followers,
        case when $has_created_at then given.created_at else held.created_at end as created_at,
        case
            when given.deleted_at is not null then given.deleted_at
            when $retract or given.deleted then coalesce(held.deleted_at, given.ingested_at)
            when given.deleted = false or $has_deleted_at then null
            else held.deleted_at
        end as deleted_at,
        given.ingested_at,
        given.updated_at,
        given.true_from,
        held.true_from as held_from,
        held.content as held_content,
        coalesce(newest.stands > {instant: given.true_from, arrived: given.ingested_at}, false) as is_older
    from given
    left join held on given.line = held.line
    left join newest on given.user_id = newest.user_id
),

contents as (
    select *, {gender: gender, followers: followers, created_at: created_at, deleted_at: deleted_at} as content
    from versions
),

-- The version of the same file that was true before, and had arrived.
formers as (
    select contents.line, former.content, former.true_from
    from contents
    inner join contents as former
        on contents.user_id = former.user_id
        and contents.ingested_at >= former.ingested_at
        and row(contents.true_from, contents.ingested_at, contents.line)
        > row(former.true_from, former.ingested_at, former.line)
    qualify row_number() over (
        partition by contents.line order by former.true_from desc, former.ingested_at desc, former.line desc
    ) = 1
),

chained as (
    select
        contents.*,
        formers.content as former_content,
        formers.true_from as former_from
    from contents
    left join formers on contents.line = formers.line
),

compared as (
    select
        chained.*,
        case when former_from > held_from or held_from is null then former_content else held_content end as before,
        greatest(former_from, held_from) as before_from
    from chained
),

told as (
    select
        compared.*,
        case
            when content is not distinct from before or is_older then 'known'
            when deleted_at is not null and before.deleted_at is null and (before is not null or $retract) then 'retracted'
            when before is not null then 'corrected'
            else 'new'
        end as outcome
    from compared
),

former as (
    select distinct user_id, content
    from stored
)

select
    told.line,
    told.user_id,
    told.gender,
    told.followers,
    told.created_at,
    told.ingested_at,
    told.updated_at,
    told.deleted_at,
    told.outcome,
    told.content is distinct from told.before or coalesce(told.updated_at > told.before_from, false) as is_stored,
    told.outcome = 'corrected' and told.updated_at is null and former.user_id is not null as is_back
from told
left join former on told.user_id = former.user_id and told.content = former.content

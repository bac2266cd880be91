-- new_users: the versions that differ from the newest stored one. Columns that the file lacks keep their values.
--
-- parameters: has_gender, has_followers, has_created_at: whether the file has the column
with held as (
    select *
    from facts.users
    qualify row_number() over (partition by user_id order by ingested_at desc, gender, followers, created_at) = 1
),

versions as (
    select
        given.line,
        held.user_id is not null as is_held,
        given.user_id,
        case when $has_gender then given.gender else held.gender end as gender,
        case when $has_followers then given.followers else held.followers end as followers,
        case when $has_created_at then given.created_at else held.created_at end as created_at
    from judged as given
    left join held on given.user_id = held.user_id
    where given.verdict is null
)

select versions.*
from versions
anti join held
    on versions.user_id = held.user_id
    and versions.gender is not distinct from held.gender
    and versions.followers is not distinct from held.followers
    and versions.created_at is not distinct from held.created_at

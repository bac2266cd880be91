-- user_genders: the gender of each user, and numbers that stand for both where many rows are grouped.
--
-- grain:  user_id
-- reads:  users, deleted_users
-- time:   as users and deleted_users
-- source: users, deleted_users
--
-- Deleted users are in it: the swipes that they sent and received stay those of a known user.
-- Builds compare it with its former rows, to see whose gender is no longer what was known.
with members as (
    select user_id, gender
    from users
    union all
    select user_id, gender
    from deleted_users
)

select
    cast(row_number() over (order by user_id) as integer) as user_no, -- from 1, by user_id; may change between builds
    cast(user_id as varchar) as user_id,                              -- the user
    cast(gender as varchar) as gender,                                -- female, male, other; NULL: unknown
    cast(case gender when 'female' then 1 when 'male' then 2 when 'other' then 3 end as integer) as gender_no -- 1 female, 2 male, 3 other; NULL: unknown
from members

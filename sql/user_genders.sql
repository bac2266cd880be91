-- user_genders: the gender of each user, and numbers that stand for both where many rows are grouped.
--
-- grain:  user_id
-- reads:  users
-- time:   as users
-- source: users
--
-- Builds compare it with its former rows, to see whose gender is no longer what was known.
select
    cast(row_number() over (order by user_id) as integer) as user_no, -- from 1, by user_id; may change between builds
    cast(user_id as varchar) as user_id,                              -- the user
    cast(gender as varchar) as gender,                                -- female, male, other; NULL: unknown
    cast(case gender when 'female' then 1 when 'male' then 2 when 'other' then 3 end as integer) as gender_no -- 1 female, 2 male, 3 other; NULL: unknown
from users

-- user_genders: the gender of each user, and a number that stands for the user where many rows are grouped.
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
    cast(gender as varchar) as gender                                 -- female, male, other; NULL: unknown
from users

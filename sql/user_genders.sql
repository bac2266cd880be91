-- user_genders: the gender of each user, kept to see between builds whose has changed.
--
-- grain:  user_id
-- reads:  users
-- time:   as users
-- source: users
select
    cast(user_id as varchar) as user_id, -- the user
    cast(gender as varchar) as gender    -- female, male, other; NULL: unknown
from users

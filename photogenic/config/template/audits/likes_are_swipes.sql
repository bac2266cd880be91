-- likes_are_swipes: nobody received more likes than swipes
--
-- reads:  owner_activity
select user_id, n_swipes, n_likes
from owner_activity
where not coalesce(n_likes between 0 and n_swipes, false)

-- ratios_have_one_owner: a photo stands once in a window, under one user
--
-- reads:  like_ratios
select photo_id, time_window, count(*) as n_rows, min(user_id) as one_owner, max(user_id) as another
from like_ratios
group by photo_id, time_window
having count(*) > 1

-- photos_have_one_owner: a photo has one number and belongs to one user
--
-- reads:  photo_owners
select photo_id, count(*) as n_rows, min(user_id) as one_owner, max(user_id) as another
from photo_owners
group by photo_id
having count(*) > 1
union all
select min(photo_id) as photo_id, count(*) as n_rows, min(user_id) as one_owner, max(user_id) as another
from photo_owners
group by photo_no
having count(*) > 1

-- photos_have_one_owner: a photo has one number and belongs to one user
--
-- reads:  photo_owners
with twice as (
    select photo_id
    from photo_owners
    group by photo_id
    having count(*) > 1
),

numbered_twice as (
    select photo_no
    from photo_owners
    group by photo_no
    having count(*) > 1
)

select photo_no, photo_id, user_id
from photo_owners
semi join twice using (photo_id)
union
select photo_no, photo_id, user_id
from photo_owners
semi join numbered_twice using (photo_no)

-- shared_ids: ids of erased users that photos of others have too, and ids of erased photos that users who stay have too.
--
-- parameters: $users and $photos, the erased ids that are of one kind only
with given as (
    select 'photo' as kind, unnest($users) as id
    union all
    select 'user' as kind, unnest($photos) as id
),

held as (
    select 'photo' as kind, photo_id as id from facts.photos
    union all
    select 'user', user_id from facts.photos
    union all
    select 'user', user_id from facts.users
    union all
    select 'user', unnest([sender_id, recipient_id]) from facts.swipes
)

select distinct id
from held
semi join given using (kind, id)

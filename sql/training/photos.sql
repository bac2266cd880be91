-- Photos of one setup with their owners and splits, labeled or not: those that a column of a relation may be about.
--
-- grain: photo_id
-- reads: photo_owners, deleted_photos, deleted_users, users, faces
-- parameters: $setup; $split_seed, that of the last build
--
-- The split of a user is that of photo_setups.
with single as (
    select photo_id
    from faces
    group by photo_id
    having count(*) = 1
),

members as (
    select photo_id, user_id
    from photo_owners
    anti join deleted_photos using (photo_id)
    anti join deleted_users using (user_id)
    where user_id is not null and ($setup = 'all' or photo_id in (select photo_id from single))
),

draws as (
    select
        photo_id,
        user_id,
        substr(md5($setup || ':' || cast($split_seed as varchar) || ':' || user_id), 1, 8) as draw
    from members
)

select
    draws.photo_id,
    draws.user_id,
    users.gender,
    case
        when draws.draw < 'cccccccc' then 'train'
        when draws.draw < 'e6666666' then 'dev'
        else 'test'
    end as split
from draws
left join users on draws.user_id = users.user_id
order by draws.photo_id

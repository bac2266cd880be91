-- recipient_timeline: all of time, cut for each user where the main photo changes, with the fate of a swipe in each stretch.
--
-- grain:  user_id, valid_from
-- reads:  users, main_photos, photo_owners
-- time:   stretches are [valid_from, valid_to) and leave no gap from year 1 to year 9999
-- source: Bogatyy & Tom, "Photo validity": the log does not say which photo was shown
--
-- Setting the photo that is main already is no change. Of several photos set at one instant the last
-- in byte order of its id holds; a photo set at the instant of a removal holds. The reason of the
-- stretch that still lasts is `kept`, of a photo's earlier stretches `stale_photo`; the others credit
-- no photo: `before_first_photo`, `photo_removed`, `no_photo` (never had one) and `foreign_photo`
-- (the user showed a photo that belongs to another).
with events as (
    select user_id, set_at, max(photo_id) as photo_id
    from main_photos
    semi join users using (user_id)
    group by user_id, set_at
),

changes as (
    select user_id, set_at, photo_id
    from events
    qualify photo_id is distinct from lag(photo_id) over (partition by user_id order by set_at)
),

stretches as (
    select
        user_id,
        photo_id,
        set_at as valid_from,
        lead(set_at) over (partition by user_id order by set_at) as valid_to,
        case when photo_id is null then 'photo_removed' end as reason
    from changes
    union all
    select
        users.user_id,
        cast(null as varchar) as photo_id,
        timestamp '0001-01-01' as valid_from,
        min(changes.set_at) as valid_to,
        case when min(changes.set_at) is null then 'no_photo' else 'before_first_photo' end as reason
    from users
    left join changes on users.user_id = changes.user_id
    group by users.user_id
)

select
    cast(stretches.user_id as varchar) as user_id,                                     -- the recipient
    cast(case when photo_owners.user_id = stretches.user_id then stretches.photo_id end as varchar) as photo_id, -- the photo that a swipe here is credited to; NULL: none
    cast(stretches.valid_from as timestamp) as valid_from,                             -- inclusive
    cast(coalesce(stretches.valid_to, timestamp '9999-12-31') as timestamp) as valid_to, -- exclusive; 9999-12-31: still lasts
    cast(case
        when stretches.reason is not null then stretches.reason
        when photo_owners.user_id <> stretches.user_id then 'foreign_photo'
        when stretches.valid_to is null then 'kept'
        else 'stale_photo'
    end as varchar) as reason                                                          -- the fate of a swipe in this stretch
from stretches
left join photo_owners on stretches.photo_id = photo_owners.photo_id

-- recipient_timeline: each user's time from the first main photo on, cut where it changes, with the fate of a swipe in each stretch.
--
-- grain:  stretch_no
-- reads:  user_genders, gender_changes, main_photos, photo_owners, deleted_photos
-- time:   [valid_from, valid_to), one stretch of a user beginning where the former ends, the last one open
-- source: Bogatyy & Tom, "Photo validity": the log does not say which photo was shown
--
-- Setting the photo that is main already is no change. Of several photos set at one instant the last
-- in byte order of its id holds; a photo set at the instant of a removal holds. The reason of the
-- stretch that still lasts is `kept`, of a photo's earlier stretches `stale_photo`; the others credit
-- no photo: `photo_removed`, and `foreign_photo` where the user showed a photo that belongs to another.
--
-- A photo is shown until it is deleted: if it is the main photo at that instant, a stretch `photo_removed` begins
-- there and lasts until the next event. An event at or after that instant that sets the deleted photo removes the
-- main photo.
-- With `--gender then` the time is also cut where the user's gender changes.
with events as (
    select user_id, set_at, max(photo_id) as photo_id
    from main_photos
    group by user_id, set_at
),

endings as (
    select events.user_id, events.set_at, events.photo_id, deleted_photos.deleted_at
    from events
    inner join deleted_photos on events.photo_id = deleted_photos.photo_id
),

spans as (
    select user_id, set_at, lead(set_at) over (partition by user_id order by set_at) as next_at
    from events
    semi join endings using (user_id)
),

shown as (
    select events.user_id, events.set_at, case when endings.deleted_at <= events.set_at then null else events.photo_id end as photo_id
    from events
    left join endings on events.user_id = endings.user_id and events.set_at = endings.set_at
    union all
    select endings.user_id, endings.deleted_at as set_at, cast(null as varchar) as photo_id
    from endings
    inner join spans on endings.user_id = spans.user_id and endings.set_at = spans.set_at
    where endings.deleted_at > endings.set_at and coalesce(endings.deleted_at < spans.next_at, true)
),

changes as (
    select user_id, set_at, photo_id
    from shown
    qualify photo_id is distinct from lag(photo_id) over (partition by user_id order by set_at)
),

stretches as (
    select
        user_id,
        photo_id,
        set_at as valid_from,
        lead(set_at) over (partition by user_id order by set_at) as valid_to
    from changes
),

judged as (
    select
        user_genders.user_no,
        stretches.user_id,
        case when photo_owners.user_id = stretches.user_id then photo_owners.photo_no end as photo_no,
        case when photo_owners.user_id = stretches.user_id then stretches.photo_id end as photo_id,
        case when photo_owners.user_id = stretches.user_id then stretches.valid_from end as main_since,
        stretches.valid_from,
        coalesce(stretches.valid_to, timestamp '9999-12-31') as valid_to,
        case
            when stretches.photo_id is null then 'photo_removed'
            when photo_owners.user_id <> stretches.user_id then 'foreign_photo'
            when stretches.valid_to is null then 'kept'
            else 'stale_photo'
        end as reason
    from stretches
    inner join user_genders on stretches.user_id = user_genders.user_id
    left join photo_owners on stretches.photo_id = photo_owners.photo_id
),

parts as (
    select
        judged.user_no,
        judged.user_id,
        judged.photo_no,
        judged.photo_id,
        judged.reason,
        judged.main_since,
        case when gender_changes.valid_from > judged.valid_from then gender_changes.valid_from else judged.valid_from end as valid_from,
        case when gender_changes.valid_to < judged.valid_to then gender_changes.valid_to else judged.valid_to end as valid_to
    from judged
    left join gender_changes
        on judged.user_no = gender_changes.user_no
        and judged.valid_from < gender_changes.valid_to
        and gender_changes.valid_from < judged.valid_to
)

select
    cast(row_number() over (order by user_no, valid_from) as integer) as stretch_no, -- from 1, by user and valid_from; may change between builds
    cast(user_no as integer) as user_no,                                             -- of the recipient in user_genders
    cast(user_id as varchar) as user_id,                                             -- the recipient
    cast(photo_no as integer) as photo_no,                                           -- of that photo in photo_owners
    cast(photo_id as varchar) as photo_id,                                           -- the photo that a swipe here is credited to; NULL: none
    cast(valid_from as timestamp) as valid_from,                                     -- inclusive
    cast(valid_to as timestamp) as valid_to,                                         -- exclusive; 9999-12-31: still lasts
    cast(reason as varchar) as reason,                                               -- kept, stale_photo, photo_removed, foreign_photo
    cast(main_since as timestamp) as main_since                                      -- when that photo became the main photo; NULL: no photo
from parts

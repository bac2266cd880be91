-- All that decides, beside the log, which photo and genders photo_swipes gives to the swipes of a user. `part` is user
-- for the newest gender, gender for one that held for a time, stretch for a time with one main photo.
with appearances as (
    select photo_id, min(valid_from) as first_main_at
    from photo_periods
    group by photo_id
)

select
    user_id,
    'user' as part,
    gender,
    cast(null as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    cast(null as varchar) as photo_id,
    cast(null as varchar) as reason,
    cast(null as timestamp) as main_since,
    cast(null as timestamp) as online_since
from user_genders
union all
select user_id, 'gender', gender, valid_from, valid_to, null, null, null, null
from gender_changes
union all
select
    recipient_timeline.user_id,
    'stretch',
    null,
    recipient_timeline.valid_from,
    recipient_timeline.valid_to,
    recipient_timeline.photo_id,
    recipient_timeline.reason,
    recipient_timeline.main_since,
    case when photo_owners.posted_at < first_main_at then photo_owners.posted_at else first_main_at end
from recipient_timeline
left join appearances on recipient_timeline.photo_id = appearances.photo_id
left join photo_owners on recipient_timeline.photo_id = photo_owners.photo_id

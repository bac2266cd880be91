-- validate_photos: the readable rows of a photos file, with the reason if a row is refused.
--
-- A photo belongs to the user who claimed it first: in the warehouse, else in the file. If several rows have one
-- photo the last one describes it; each row with another `set_at` is also an event. A row that gives neither
-- the description nor an event of its own is superfluous. Rows of one photo that are true from different instants
-- (updated_at, else the arrival), or arrive at different ones, are versions of their own.
with owners as (
    select photo_id, arg_min(user_id, ingested_at) as user_id
    from facts.photos
    semi join taken on photos.photo_id = taken.photo_id
    group by photo_id
),

claimed as (
    select
        taken.* replace (coalesce(taken.user_id, owners.user_id) as user_id),
        case
            when outside.path is not null then 'path_outside_images'
            when taken.user_id <> coalesce(
                owners.user_id,
                first_value(taken.user_id) over (
                    partition by taken.photo_id order by outside.path is not null, taken.line
                )
            ) then 'photo_of_another_user'
            when taken.user_id is null and owners.user_id is null then 'unknown_photo'
        end as refusal
    from taken
    left join owners on taken.photo_id = owners.photo_id
    left join outside on taken.path = outside.path
),

ranked as (
    select
        *,
        line = max(line) filter (refusal is null) over of_photo as is_last,
        set_at is not null and line = max(line) filter (refusal is null) over of_event as is_event,
        row(path, url, posted_at, likes, hashtags, deleted_at, deleted) is not distinct from last_value(
            row(path, url, posted_at, likes, hashtags, deleted_at, deleted)
        ) over (
            of_photo order by refusal is null, line rows between unbounded preceding and unbounded following
        ) as is_same
    from claimed
    window of_photo as (partition by photo_id, coalesce(updated_at, arrival), arrival), of_event as (partition by photo_id, set_at)
)

select
    * exclude (refusal, is_same),
    case
        when refusal is not null then refusal
        when is_last or is_event then null
        when is_same then 'duplicate'
        else 'superseded'
    end as verdict
from ranked

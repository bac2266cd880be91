-- new_photos: the versions that differ from the newest stored one. Columns that the file lacks keep their values.
--
-- parameters: has_path, has_url, has_posted_at, has_likes, has_hashtags: whether the file has the column
with held as (
    select *
    from facts.photos
    semi join judged on photos.photo_id = judged.photo_id
    qualify row_number() over (
        partition by photo_id order by ingested_at desc, user_id, path, url, posted_at, likes
    ) = 1
),

versions as (
    select
        given.line,
        held.photo_id is not null as is_held,
        given.photo_id,
        given.user_id,
        case when $has_path then given.path else held.path end as path,
        case when $has_url then given.url else held.url end as url,
        case when $has_posted_at then given.posted_at else held.posted_at end as posted_at,
        case when $has_likes then given.likes else held.likes end as likes,
        case when $has_hashtags then given.hashtags else held.hashtags end as hashtags
    from judged as given
    left join held on given.photo_id = held.photo_id
    where given.verdict is null and given.is_last
)

select versions.*
from versions
anti join held
    on versions.photo_id = held.photo_id
    and versions.path is not distinct from held.path
    and versions.url is not distinct from held.url
    and versions.posted_at is not distinct from held.posted_at
    and versions.likes is not distinct from held.likes
    and versions.hashtags is not distinct from held.hashtags

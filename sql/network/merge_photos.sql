-- merge_photos: posts seen for the first time or changed, as rows of facts.photos.
--
-- grain:      photo_id
-- reads:      pages, facts.photos, facts.photo_files
-- time:       the last observation in the segment, compared with the newest stored version
-- source:     `features crawl`
-- parameters: now
--
-- The address of an image is signed again at every observation: if only the address differs and the bytes are
-- stored, there is no new version. A deleted photo stays deleted. A hidden like count keeps the last known one. The API names no owner for a
-- post found by hashtag: it gets an owner of its own until its account is crawled.
with looks as (
    select unnest(posts) as post, observed_at
    from pages
),

seen as (
    select post.*
    from looks
    qualify row_number() over (
        partition by post.photo_id order by observed_at desc, post.user_id nulls last
    ) = 1
),

held as (
    select photos.*
    from facts.photos as photos
    semi join seen on photos.photo_id = seen.photo_id
    qualify row_number() over (
        partition by photos.photo_id
        order by
            coalesce(photos.updated_at, photos.ingested_at) desc, photos.ingested_at desc, photos.batch desc,
            photos.user_id, photos.path
    ) = 1
),

files as (
    select found.photo_id, found.status
    from facts.photo_files as found
    semi join seen on found.photo_id = seen.photo_id
    qualify row_number() over (
        partition by found.photo_id order by found.ingested_at desc, found.status, found.sha256
    ) = 1
),

versions as (
    select
        seen.photo_id,
        coalesce(seen.user_id, held.user_id, 'owner-of-' || seen.photo_id) as user_id,
        held.path,
        coalesce(seen.url, held.url) as url,
        coalesce(seen.posted_at, held.posted_at) as posted_at,
        coalesce(seen.likes, held.likes) as likes,
        seen.hashtags,
        held.deleted_at,
        held.photo_id is null as is_new,
        held.user_id as held_user_id,
        held.url as held_url,
        held.posted_at as held_posted_at,
        held.likes as held_likes,
        held.hashtags as held_hashtags,
        coalesce(files.status = 'ok', false) as has_bytes
    from seen
    left join held on seen.photo_id = held.photo_id
    left join files on seen.photo_id = files.photo_id
)

select
    photo_id,
    user_id,
    path,
    url,
    posted_at,
    likes,
    hashtags,
    deleted_at,
    $now as ingested_at
from versions
where
    is_new
    or user_id <> held_user_id
    or posted_at is distinct from held_posted_at
    or likes is distinct from held_likes
    or hashtags is distinct from held_hashtags
    or (url is distinct from held_url and not has_bytes)

-- photos: every known photo that is not deleted, in the newest version, with the finding on its bytes.
--
-- grain:  photo_id
-- reads:  facts.photos, facts.photo_files, deleted_users, clock
-- time:   the newest version and finding that had arrived before known_at; posted before as_of, not deleted before it
-- source: files of `features ingest photos`, crawled posts, `features fetch`
--
-- The photos of a user end with the account at the latest; deleted_photos has them from then on.
with versions as (
    select given.*
    from facts.photos as given
    cross join clock
    where ingested_at < known_at and coalesce(updated_at < as_of, true)
    qualify row_number() over (
        partition by photo_id
        order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc, user_id, path, url, posted_at, likes
    ) = 1
),

findings as (
    select found.*
    from facts.photo_files as found
    cross join clock
    where ingested_at < known_at
    qualify row_number() over (
        partition by photo_id order by ingested_at desc, status, sha256
    ) = 1
)

select
    cast(versions.photo_id as varchar) as photo_id,    -- as given
    cast(versions.user_id as varchar) as user_id,      -- the owner
    cast(versions.path as varchar) as path,            -- as given, relative to --images
    cast(versions.url as varchar) as url,              -- address of the download
    cast(findings.sha256 as varchar) as sha256,        -- SHA-256 of the stored bytes; NULL: none
    cast(findings.width as integer) as width,          -- pixels, upright
    cast(findings.height as integer) as height,        -- pixels, upright
    cast(versions.posted_at as timestamp) as posted_at, -- when it went online; NULL: unknown
    cast(versions.likes as bigint) as likes,           -- count at the time of arrival; NULL: not a post
    cast(versions.hashtags as varchar[]) as hashtags,  -- without the #
    cast(findings.status as varchar) as status         -- ok, missing, empty, not_an_image, unsupported_format, truncated, unreadable, too_large, detector_failed, erased; NULL: not read yet
from versions
anti join deleted_users on versions.user_id = deleted_users.user_id
left join findings on versions.photo_id = findings.photo_id
cross join clock
where coalesce(versions.posted_at < clock.as_of, true) and coalesce(versions.deleted_at >= clock.as_of, true)

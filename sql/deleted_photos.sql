-- deleted_photos: every photo that was deleted, by itself or with the account of its owner.
--
-- grain:  photo_id
-- reads:  facts.photos, deleted_users, clock
-- time:   photos deleted before as_of, as far as it was known at known_at
-- source: `deleted_at` or `deleted` in files of `features ingest photos`; `features retract photos`; deleted_users
--
-- They are not in photos: not in galleries, search, training sets or labels. The swipes that they received stay.
with candidates as (
    select photo_id
    from facts.photos
    where deleted_at is not null
    union all
    select photo_id
    from facts.photos
    semi join deleted_users using (user_id)
),

versions as (
    select given.*
    from facts.photos as given
    semi join candidates on given.photo_id = candidates.photo_id
    cross join clock
    where ingested_at < known_at and coalesce(updated_at < as_of, true)
    qualify row_number() over (
        partition by photo_id
        order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc, user_id, path, url, posted_at, likes
    ) = 1
),

ends as (
    select
        versions.photo_id,
        versions.user_id,
        versions.posted_at,
        least(
            coalesce(versions.deleted_at, timestamp '9999-12-31'),
            coalesce(deleted_users.deleted_at, timestamp '9999-12-31')
        ) as deleted_at
    from versions
    left join deleted_users on versions.user_id = deleted_users.user_id
)

select
    cast(ends.photo_id as varchar) as photo_id,       -- the photo
    cast(ends.user_id as varchar) as user_id,         -- its owner
    cast(ends.posted_at as timestamp) as posted_at,   -- when it went online; NULL: unknown
    cast(ends.deleted_at as timestamp) as deleted_at  -- when it was deleted, or the account of its owner ended
from ends
cross join clock
where ends.deleted_at < clock.as_of and coalesce(ends.posted_at < clock.as_of, true)

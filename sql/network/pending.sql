-- pending: the photos of one bucket that have a URL and are neither downloaded nor given up.
--
-- grain:      photo_id
-- reads:      facts.photos, facts.photo_files, facts.fetch_attempts
-- time:       the newest version, finding and attempt of each photo, independent of the clock; deleted photos too,
--             which the caller leaves out (sql/features/deleted_now.sql)
-- source:     `features fetch`
-- parameters: buckets, bucket (photos are spread over buckets by a hash of their id, which also mixes the
--             hosts, so that memory is bounded by the bucket and not by the store); retry, statuses to try again
with versions as (
    select photo_id, url
    from facts.photos
    where hash(photo_id) % $buckets = $bucket
    qualify row_number() over (
        partition by photo_id order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc, user_id, path, url
    ) = 1
),

findings as (
    select photo_id, status
    from facts.photo_files
    where hash(photo_id) % $buckets = $bucket
    qualify row_number() over (
        partition by photo_id order by ingested_at desc, status, sha256
    ) = 1
),

last_attempts as (
    select photo_id, url, status, attempt, settled
    from facts.fetch_attempts
    where hash(photo_id) % $buckets = $bucket
    qualify row_number() over (
        partition by photo_id order by attempt desc, started_at desc
    ) = 1
)

select
    cast(versions.photo_id as varchar) as photo_id,                       -- the photo
    cast(versions.url as varchar) as url,                                 -- its address
    cast(coalesce(last_attempts.attempt, 0) as integer) as attempts       -- number of attempts so far, in all runs
from versions
left join findings on versions.photo_id = findings.photo_id
left join last_attempts on versions.photo_id = last_attempts.photo_id
where
    versions.url is not null
    and coalesce(findings.status <> 'ok', true)
    and (
        last_attempts.photo_id is null
        or not last_attempts.settled
        or last_attempts.url <> versions.url
        or list_contains($retry, last_attempts.status)
    )

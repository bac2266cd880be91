-- pictures_wanted: the photos that a file lists (`listed`), with the latest finding on their images. An image is read
-- if it was never read, was not valid, has another path since (`moved`), or is missing in the store.
with versions as (
    select
        photos.photo_id,
        photos.user_id,
        photos.path,
        photos.ingested_at,
        photos.batch,
        coalesce(photos.updated_at, photos.ingested_at) as true_from,
        lag(photos.path) over (
            partition by photos.photo_id
            order by coalesce(photos.updated_at, photos.ingested_at), photos.ingested_at, photos.batch
        ) as former_path
    from facts.photos as photos
    semi join listed on photos.photo_id = listed.photo_id
),

newest as (
    select
        *,
        max(ingested_at) filter (where path is distinct from former_path) over (partition by photo_id) as path_since
    from versions
    qualify row_number() over (
        partition by photo_id order by true_from desc, ingested_at desc, batch desc, user_id, path
    ) = 1
),

findings as (
    select *
    from facts.photo_files
    semi join listed on photo_files.photo_id = listed.photo_id
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
)

select
    newest.photo_id,
    newest.path,
    findings.sha256,
    findings.status,
    coalesce(findings.ingested_at < newest.path_since, false) as moved
from newest
semi join listed
    on newest.photo_id = listed.photo_id and newest.user_id = listed.user_id and newest.path = listed.path
left join findings on newest.photo_id = findings.photo_id
order by newest.path

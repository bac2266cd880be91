-- picture_bytes_wanted: the photos with a picture in a column of their rows (`listed_bytes`), with the latest finding on
-- their images. The newest of several rows about a photo counts; a row that is older than what is known of the photo
-- does not.
with newest as (
    select
        photos.photo_id,
        photos.user_id,
        coalesce(photos.updated_at, photos.ingested_at) as true_from
    from facts.photos as photos
    semi join listed_bytes on photos.photo_id = listed_bytes.photo_id
    qualify row_number() over (
        partition by photos.photo_id
        order by coalesce(photos.updated_at, photos.ingested_at) desc, photos.ingested_at desc, photos.batch desc
    ) = 1
),

rows as (
    select *
    from listed_bytes
    qualify row_number() over (partition by photo_id order by true_from desc, line desc) = 1
),

findings as (
    select *
    from facts.photo_files
    semi join listed_bytes on photo_files.photo_id = listed_bytes.photo_id
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
)

select
    rows.line,
    rows.photo_id,
    findings.sha256,
    findings.status
from rows
inner join newest
    on rows.photo_id = newest.photo_id and rows.user_id = newest.user_id and rows.true_from >= newest.true_from
left join findings on rows.photo_id = findings.photo_id
order by rows.line

-- A newer finding for each photo in `found_bad` (photo_id, sha256, status, detail): its bytes are not a valid image.
insert into facts.photo_files
with findings as (
    select *
    from facts.photo_files
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
)

select bad.photo_id, bad.sha256, known.width, known.height, known.bytes, bad.status, bad.detail, $now
from found_bad as bad
inner join findings as known on bad.photo_id = known.photo_id

-- gone_bytes: images of erased users whose bytes no photo of another user shares.
with theirs as (
    select distinct sha256
    from facts.photo_files
    semi join gone_photos using (photo_id)
    where sha256 is not null
)

select sha256
from theirs
anti join (
    select sha256
    from facts.photo_files
    anti join gone_photos using (photo_id)
) as others using (sha256)

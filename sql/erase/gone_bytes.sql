-- gone_bytes: pictures of theirs whose bytes nobody else's photo has.
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

-- Photos whose bytes are in the store with their latest finding, independent of the clock: vectors and faces
-- are kept for every photo that a query with `--as-of` may read.
with findings as (
    select *
    from facts.photo_files
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
)

select photo_id, sha256, status
from findings
semi join facts.photos as known on findings.photo_id = known.photo_id
where sha256 is not null
order by photo_id

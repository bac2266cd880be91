-- Number of photos with bytes in the store, and a checksum of these that does not depend on the order.
with held as (
    select photo_id, sha256
    from facts.photo_files
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
)

select count(*) as n, bit_xor(hash(photo_id, sha256)) as checksum
from held
where sha256 is not null

-- near_duplicates: pairs of photos that show the same image.
--
-- grain:  photo_id, other_id
-- reads:  facts.near_duplicates, photos
-- time:   images of the last `features build --near-duplicates`; both photos known as of the clock
-- source: equal bytes; perceptual hashes (Zauner 2010, 256 bits) of the image or its mirror image; embeddings
select
    cast(pairs.photo_id as varchar) as photo_id,     -- the smaller of the two ids
    cast(pairs.other_id as varchar) as other_id,     -- the greater id; photos with equal bytes are each paired with the first one
    cast(pairs.cluster_id as varchar) as cluster_id, -- the smallest id among all photos that such pairs connect
    cast(pairs.reason as varchar) as reason,         -- bytes, hash, mirror, embedding: the first that holds
    cast(pairs.bits as integer) as bits,             -- bits of 256 in which the hashes differ; NULL: found by embedding
    cast(pairs.distance as double) as distance       -- distance of the embeddings; NULL: found by bytes or hash
from facts.near_duplicates as pairs
semi join photos as own on pairs.photo_id = own.photo_id
semi join photos as other on pairs.other_id = other.photo_id

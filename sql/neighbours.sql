-- neighbours: the nearest photos of each photo, by encoder.
--
-- grain:  encoder, photo_id, rank
-- reads:  facts.neighbours, photos
-- time:   vectors of the last `features build --neighbours`; both photos known as of the clock
-- source: exact search, or the index where the photos are many (facts.neighbour_sets has its recall)
select
    cast(near.encoder as varchar) as encoder,           -- the encoder of the embeddings
    cast(near.photo_id as varchar) as photo_id,         -- the photo
    cast(near.rank as integer) as rank,                 -- from 1, with gaps for photos that are unknown as of the clock
    cast(near.neighbour_id as varchar) as neighbour_id, -- the near photo
    cast(near.distance as double) as distance           -- the metric of the encoder: Euclidean, or 1 - cos
from facts.neighbours as near
semi join photos as own on near.photo_id = own.photo_id
semi join photos as other on near.neighbour_id = other.photo_id

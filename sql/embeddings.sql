-- embeddings: the encoders whose embeddings of the photos are in the store.
--
-- grain:  encoder
-- reads:  facts.embeddings
-- time:   the vectors in the store now, independent of the clock
-- source: the manifests beside the Parquet files
select
    cast(encoder as varchar) as encoder,               -- name of the encoder
    cast(dim as integer) as dim,                       -- numbers per vector
    cast(n_photos as bigint) as n_photos,              -- photos with a vector
    cast(input as varchar) as input,                   -- photo, face
    cast(weights_sha256 as varchar) as weights_sha256, -- SHA-256 of the weights of the network
    cast(index_kind as varchar) as index_kind,         -- kind of the search index; NULL: no index yet
    cast(recall_at_10 as double) as recall_at_10,      -- recall of the index compared with exact search; NULL: no index yet
    cast(p50_ms as double) as p50_ms,                  -- median time of a query for ten photos, measured when the index was built
    cast(index_bytes as bigint) as index_bytes         -- memory of the index in bytes
from facts.embeddings

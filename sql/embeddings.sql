-- embeddings: which encoders have turned the photos into vectors.
--
-- grain:  encoder
-- reads:  facts.embeddings
-- time:   the vectors in the store now, whatever the clock
-- source: the manifests beside the Parquet files
select
    cast(encoder as varchar) as encoder,               -- its name
    cast(dim as integer) as dim,                       -- numbers per vector
    cast(n_photos as bigint) as n_photos,              -- photos with a vector
    cast(input as varchar) as input,                   -- photo, face
    cast(weights_sha256 as varchar) as weights_sha256, -- of the network's weights
    cast(index_kind as varchar) as index_kind,         -- of the search index; NULL: none yet
    cast(recall_at_10 as double) as recall_at_10,      -- of the index against exact search; NULL: no index yet
    cast(p50_ms as double) as p50_ms,                  -- median time of a query for ten, measured when the index was made
    cast(index_bytes as bigint) as index_bytes         -- memory that the index takes
from facts.embeddings

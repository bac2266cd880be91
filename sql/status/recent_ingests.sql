-- The files that were taken in during the 24 hours up to the newest one of their kind.
select kind, n_read, refused
from facts.ingests
qualify ingested_at > max(ingested_at) over (partition by kind) - interval 24 hours

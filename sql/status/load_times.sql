-- When each ingest ran.
select batch, ingested_at from facts.ingests

-- When the newest row arrived, and when labels were last computed.
select
    (select max(ingested_at) from facts.ingests) as ingested_at,
    (select max(built_at) from facts.relation_state) as built_at

-- When the newest row arrived, from a file or from the network, and when labels were last computed.
with arrivals as (
    select max(ingested_at) as arrived_at from facts.ingests
    union all
    select max(ingested_at) from facts.users
    union all
    select max(ingested_at) from facts.photos
    union all
    select max(ingested_at) from facts.photo_files
    union all
    select max(ingested_at) from facts.main_photos
    union all
    select max(ingested_at) from facts.swipes
)

select
    (select max(arrived_at) from arrivals) as ingested_at,
    (select max(built_at) from facts.relation_state) as built_at

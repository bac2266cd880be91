-- The stages of the latest builds that processed photos, the newest last.
with latest as (
    select stages, started_at
    from builds
    where stages like '{"photos":%'
    order by started_at desc
    limit 20
)

select stages
from latest
order by started_at

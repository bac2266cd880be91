-- last_stamp: the newest time of arrival of ingested rows.
select max(ingested_at) as ingested_at
from (
    select ingested_at from facts.ingests
    union all
    select ingested_at from facts.users
    union all
    select ingested_at from facts.photos
    union all
    select ingested_at from facts.photo_files
    union all
    select ingested_at from facts.main_photos
    union all
    select ingested_at from facts.swipes
) as arrivals

-- held: everything that was said before about the events of `said`, one row per statement.
--
-- reads: told_before, the rows of facts.KIND, facts.replaced_KIND and facts.retracted_KIND
--
-- A version says what holds; a retraction takes the event back. If both arrived together, the version is the later
-- one. Each row is a statement, so nothing is grouped: a file may correct millions of swipes.
with near_key as (select distinct hash(key) as h from said where key is not null),

-- Ids that rows give, and ids of events that have the key of a row.
ids as (
    select event_id from said where event_id is not null
    union
    select event_id from told_before where event_id is not null and hash(key) in (select h from near_key)
)

select
    origin,
    [place] as places,
    event_id,
    key,
    if(retracted, null, [value]) as value,
    retracted,
    arrival,
    batch,
    replaced_at,
    replaced_batch
from told_before
where
    event_id in (select event_id from ids)
    or (event_id is null and hash(key) in (select h from near_key))

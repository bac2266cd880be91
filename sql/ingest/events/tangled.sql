-- tangled: the statements that are read one by one to find their events: all of the tangled keys and of their ids.
--
-- reads: held, said, named
--
-- Keys and states are numbers; the state is NULL if the event was taken back.
with told as (
    select false as is_new, cast(null as bigint) as no, event_id, key, value, retracted, arrival, replaced_at from held
    union all
    select true, no, event_id, key, value, retracted, arrival, null from said
),

keys as (select key from named where is_tangled),

ids as (select distinct event_id from told semi join keys using (key) where event_id is not null),

found as (
    select *
    from told
    where key in (select key from keys) or event_id in (select event_id from ids)
)

select
    is_new,
    no,
    event_id,
    key,
    if(key is null, null, dense_rank() over (order by key)) as key_no,
    if(retracted, null, dense_rank() over (order by key, value)) as state_no,
    arrival,
    replaced_at
from found

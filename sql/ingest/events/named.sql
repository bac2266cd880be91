-- named: the event of each statement that has no event_id, where events with ids have its key too.
--
-- A statement with an event_id is about the event of that id. One without is about the event of its key. Here are the
-- keys that have both kinds of statements, and what is known without looking at the order: if all statements of a key
-- that have an id have the same id, and that id has no other key, then the key is that id. `is_tangled`: it is not as
-- simple, and the statements have to be read one by one.
with told as (
    select event_id, key, false as is_new from held
    union all
    select event_id, key, true as is_new from said
),

ids as (
    select
        event_id,
        count(distinct key) > 1 or bool_or(key is null) as has_others,
        bool_or(not is_new) as is_held
    from told
    where event_id is not null
    group by event_id
),

keys as (
    select
        told.key,
        count(distinct told.event_id) as n_ids,
        min(told.event_id) as event_id,
        bool_or(ids.has_others) as has_others,
        bool_or(ids.is_held) as has_held_ids,
        bool_or(told.event_id is null and not told.is_new) as has_held_key
    from told
    left join ids on told.event_id = ids.event_id
    where told.key is not null
    group by told.key
    having count(*) filter (told.event_id is null) > 0 and count(told.event_id) > 0
)

select
    key,
    event_id,
    n_ids > 1 or has_others or (has_held_ids and has_held_key) as is_tangled
from keys

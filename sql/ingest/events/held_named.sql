-- held_named: what was said before, with the event of each statement: its id, or NULL if it is known by its key.
--
-- reads: held, named, named_one_by_one
--
-- An event that was known by its key takes on the id that the file gives it.
select
    held.*,
    coalesce(held.event_id, named.event_id, one_by_one.name) as name
from held
left join named on held.event_id is null and held.key = named.key and not named.is_tangled
left join named_one_by_one as one_by_one on held.event_id is null and held.key = one_by_one.key

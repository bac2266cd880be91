-- told_named: what the file says, with the event of each statement: its id, or NULL if it is known by its key.
--
-- reads: said, named, named_one_by_one
select
    said.no,
    coalesce(said.event_id, named.event_id, one_by_one.name) as name,
    said.key,
    said.value,
    said.retracted,
    said.arrival
from said
left join named on said.event_id is null and said.key = named.key and not named.is_tangled
left join named_one_by_one as one_by_one on said.event_id is null and said.no = one_by_one.no

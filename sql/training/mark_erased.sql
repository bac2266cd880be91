-- Mark new runs that learned from photos which were erased during the training.
--
-- parameters: $vectors, the runs whose weights hold vectors that they learned from
update facts.runs
set results = json_merge_patch(
    results,
    json_object('trained_on_erased', erased.n_photos),
    case when list_contains($vectors::varchar[], runs.run_id) then json_object('weights', 'removed') else json_object() end
)
from (
    select run_id, count(*) as n_photos
    from new_learned
    where was_erased('photo', photo_id)
    group by run_id
) as erased
where runs.run_id = erased.run_id

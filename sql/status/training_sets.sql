-- The newest version of each named training set.
--
-- grain: name
-- reads: training_sets
select name, version, n_rows, status
from training_sets
where status <> 'removed'
qualify row_number() over (partition by name order by version desc) = 1
order by name

-- Photos that a run learned from: the training set, and the set that chose when to stop.
--
-- grain: photo_id
-- reads: facts.predictions
-- parameters: $run, a run_id
select photo_id
from facts.predictions
where run_id = $run and split in ('train', 'dev')
order by photo_id

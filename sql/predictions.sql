-- predictions: the prediction of each run for each photo.
--
-- grain:  run_id, photo_id
-- reads:  facts.predictions, deleted_photos
-- time:   all runs so far; photos that were not deleted before the clock
-- source: `features train`, `features predict --keep`, `features ingest predictions`
select
    cast(run_id as varchar) as run_id,         -- the run
    cast(photo_id as varchar) as photo_id,     -- the photo
    cast(split as varchar) as split,           -- train, dev, test; NULL: in none of them
    cast(prediction as double) as prediction   -- a ratio, a probability, or a number in the unit of the target
from facts.predictions
anti join deleted_photos using (photo_id)

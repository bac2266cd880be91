-- predictions: the prediction of each trained head for each photo.
--
-- grain:  run_id, photo_id
-- reads:  facts.predictions, deleted_photos
-- time:   all runs so far; photos that were not deleted before the clock
-- source: `features train`, `features predict --keep`
select
    cast(run_id as varchar) as run_id,         -- the head
    cast(photo_id as varchar) as photo_id,     -- the photo
    cast(split as varchar) as split,           -- train, dev, test; NULL: not in the training set
    cast(prediction as double) as prediction   -- a ratio or a probability
from facts.predictions
anti join deleted_photos using (photo_id)
anti join deleted_photos using (photo_id)

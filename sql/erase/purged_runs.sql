-- purged_runs: heads that learned from purged photos: with one in train or dev.
--
-- What a run of the user's own learned from is what the user says.
-- With folds every photo was in a training set, although its split is `test`. `n_photos` counts the purged photos.
with learned as (
    select predictions.run_id, predictions.photo_id, predictions.split = 'train' or folded as in_train
    from facts.predictions
    inner join (
        select run_id, origin, coalesce(regexp_matches(json_extract_string(hyperparameters, '$.division'), 'fold'), false) as folded
        from facts.runs
    ) as divided using (run_id)
    where
        predictions.split = 'train'
        or predictions.split = 'dev' and origin = 'trained'
        or predictions.split is not null and folded and origin = 'trained'
)

select run_id, count(distinct photo_id) as n_photos, bool_or(in_train) as has_their_photos
from learned
semi join gone_photos using (photo_id)
group by run_id

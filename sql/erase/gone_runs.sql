-- gone_runs: heads trained on erased users: with a photo in train or dev, or with a swipe on such a photo.
--
-- What a run of the user's own learned from is what the user says.
-- With folds every photo was in a training set, although its split is `test`. `n_people` counts the erased users.
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
),

owners as (select distinct photo_id, user_id from facts.photos),

seen as (
    select learned.run_id, owners.user_id, learned.in_train
    from learned
    inner join owners using (photo_id)
    semi join gone_users on owners.user_id = gone_users.user_id
    union all
    select learned.run_id, swiped.sender_id, false
    from learned
    inner join owners using (photo_id)
    inner join (
        select sender_id, recipient_id
        from facts.swipes
        semi join gone_users on swipes.sender_id = gone_users.user_id
        union
        select sender_id, recipient_id
        from facts.replaced_swipes
        semi join gone_users on replaced_swipes.sender_id = gone_users.user_id
    ) as swiped on owners.user_id = swiped.recipient_id
)

select run_id, count(distinct user_id) as n_people, bool_or(in_train) as has_their_photos
from seen
group by run_id

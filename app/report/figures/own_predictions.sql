-- Test predictions of a run for a column, highest prediction first; the column is read apart.
--
-- grain: photo_id
-- reads: predictions, photo_owners, users, photos
-- parameters: $run, a run_id
select
    predictions.photo_id,
    photo_owners.user_id,
    users.gender,
    predictions.prediction,
    photos.sha256
from predictions
inner join photo_owners on predictions.photo_id = photo_owners.photo_id
left join users on photo_owners.user_id = users.user_id
left join photos on predictions.photo_id = photos.photo_id
where predictions.run_id = $run and predictions.split = 'test'
order by predictions.prediction desc, predictions.photo_id

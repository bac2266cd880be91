-- Test photos of a like-ratio run, best prediction first.
--
-- grain: photo_id
-- reads: predictions, photo_labels, photos
select
    predictions.photo_id,
    photo_labels.gender,
    photo_labels.value as like_ratio,
    photo_labels.weight,
    photo_labels.percentile,
    photo_labels.popular,
    predictions.prediction,
    photos.sha256
from predictions
inner join photo_labels on predictions.photo_id = photo_labels.photo_id and photo_labels.source = 'swipes'
inner join photos on predictions.photo_id = photos.photo_id
where predictions.run_id = $run and predictions.split = 'test'
order by predictions.prediction desc, predictions.photo_id

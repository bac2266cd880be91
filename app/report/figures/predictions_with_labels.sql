-- Test predictions of a run with the labels of the photos, highest prediction first.
--
-- grain: photo_id
-- reads: predictions, photo_labels, photos
-- parameters: $run, a run_id
--
-- If a photo has labels of both sources, the label from swipes is used, as in training.
select
    predictions.photo_id,
    photo_labels.user_id,
    photo_labels.gender,
    photo_labels.source,
    photo_labels.value as like_ratio,
    photo_labels.weight,
    photo_labels.percentile,
    photo_labels.popular,
    predictions.prediction,
    photos.sha256
from predictions
inner join photo_labels on predictions.photo_id = photo_labels.photo_id
inner join photos on predictions.photo_id = photos.photo_id
where predictions.run_id = $run and predictions.split = 'test'
qualify row_number() over (partition by predictions.photo_id order by photo_labels.source desc) = 1
order by predictions.prediction desc, predictions.photo_id

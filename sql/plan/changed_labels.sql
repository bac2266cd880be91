-- Number of labels that appear, disappear, get another value or weight, and cross the median.
select
    count(*) filter (where past_photo_labels.photo_id is null) as n_new,
    count(*) filter (where photo_labels.photo_id is null) as n_lost,
    count(*) filter (
        where photo_labels.value <> past_photo_labels.value or photo_labels.weight <> past_photo_labels.weight
    ) as n_changed,
    count(*) filter (where photo_labels.popular <> past_photo_labels.popular) as n_flipped
from photo_labels
full join past_photo_labels
    on photo_labels.photo_id = past_photo_labels.photo_id and photo_labels.source = past_photo_labels.source

-- Photos of one setup with the values to predict.
--
-- grain: photo_id
-- reads: photo_labels, photo_setups
-- parameters: $setup; $source, whose labels count
--
-- All targets have the same photos, so that tables 2 and 3 use the same test set.
select
    photo_labels.photo_id,
    photo_labels.user_id,
    photo_labels.gender,
    photo_labels.value as like_ratio,
    cast(photo_labels.popular as double) as popular,
    case photo_labels.gender when 'female' then 1e0 when 'male' then 0e0 end as female,
    photo_labels.weight,
    photo_setups.split
from photo_labels
inner join photo_setups on photo_labels.photo_id = photo_setups.photo_id
where photo_setups.setup = $setup and photo_labels.source = $source
order by photo_labels.photo_id

-- labels_are_unique: a photo has one label per source
--
-- reads:  photo_labels
select photo_id, source, count(*) as n_rows
from photo_labels
group by photo_id, source
having count(*) > 1

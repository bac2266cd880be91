-- splits_share_no_user: all photos of a user are in one split of a setup
--
-- reads:  photo_setups, photo_labels
select photo_setups.setup, photo_labels.user_id, min(photo_setups.split) as one_split, max(photo_setups.split) as another
from photo_setups
inner join photo_labels on photo_setups.photo_id = photo_labels.photo_id
group by photo_setups.setup, photo_labels.user_id
having min(photo_setups.split) <> max(photo_setups.split)

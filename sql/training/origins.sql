-- The groups that connect photos of one setup, and when each was first seen, for a split that keeps groups together.
--
-- grain: photo_id
-- reads: photo_labels, photo_setups, photos, duplicate_clusters, photo_periods
-- parameters: $setup; $source, whose labels count
with shown as (
    select photo_id, min(valid_from) as shown_at
    from photo_periods
    group by photo_id
)

select
    photo_labels.photo_id,
    photo_labels.user_id,
    photos.sha256,
    duplicate_clusters.cluster_id,
    coalesce(shown.shown_at, photos.posted_at) as shown_at
from photo_labels
inner join photo_setups on photo_labels.photo_id = photo_setups.photo_id
left join photos on photo_labels.photo_id = photos.photo_id
left join duplicate_clusters on photo_labels.photo_id = duplicate_clusters.photo_id
left join shown on photo_labels.photo_id = shown.photo_id
where photo_setups.setup = $setup and photo_labels.source = $source
order by photo_labels.photo_id

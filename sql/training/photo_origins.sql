-- The groups that connect all photos, labeled or not, and when each was first seen, as training/origins for labeled ones.
--
-- grain: photo_id
-- reads: photo_owners, photos, duplicate_clusters, photo_periods
with shown as (
    select photo_id, min(valid_from) as shown_at
    from photo_periods
    group by photo_id
)

select
    photo_owners.photo_id,
    photo_owners.user_id,
    photos.sha256,
    duplicate_clusters.cluster_id,
    coalesce(shown.shown_at, photos.posted_at) as shown_at
from photo_owners
left join photos on photo_owners.photo_id = photos.photo_id
left join duplicate_clusters on photo_owners.photo_id = duplicate_clusters.photo_id
left join shown on photo_owners.photo_id = shown.photo_id
order by photo_owners.photo_id

-- duplicate_clusters: which photos show the same picture, as groups.
--
-- grain:  photo_id
-- reads:  near_duplicates
-- time:   as near_duplicates
-- source: connected components of near_duplicates
with members as (
    select photo_id, cluster_id
    from near_duplicates
    union
    select other_id as photo_id, cluster_id
    from near_duplicates
)

select
    cast(photo_id as varchar) as photo_id,                                -- a photo that is not alone
    cast(cluster_id as varchar) as cluster_id,                            -- the least id of its group
    cast(count(*) over (partition by cluster_id) as bigint) as n_photos   -- photos of the group
from members

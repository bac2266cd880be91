-- duplicate_clusters: groups of photos that show the same image.
--
-- grain:  photo_id
-- reads:  near_duplicates
-- time:   same as near_duplicates
-- source: connected components of near_duplicates
with members as (
    select photo_id, cluster_id
    from near_duplicates
    union
    select other_id as photo_id, cluster_id
    from near_duplicates
)

select
    cast(photo_id as varchar) as photo_id,                                -- a photo of a group of at least two
    cast(cluster_id as varchar) as cluster_id,                            -- the least id of its group
    cast(count(*) over (partition by cluster_id) as bigint) as n_photos   -- photos of the group
from members

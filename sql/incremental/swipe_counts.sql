-- The former counts and those of new swipes, less those of removed ones, if the timeline has the same stretches as before.
with parts as (
    select * from swipe_counts
    union all
    select * from recounted
)

select
    stretch_no,
    sender_group,
    cast(sum(n_swipes) as bigint) as n_swipes,
    cast(sum(n_likes) as bigint) as n_likes
from parts
group by stretch_no, sender_group
having sum(n_swipes) > 0

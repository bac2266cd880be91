-- The former counts and those of new swipes, less those of removed ones.
with parts as (
    select * from recipient_counts
    union all
    select * from recounted
)

select
    recipient_id,
    cast(sum(n_swipes) as bigint) as n_swipes,
    cast(sum(n_likes) as bigint) as n_likes
from parts
group by recipient_id
having sum(n_swipes) > 0

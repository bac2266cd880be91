-- The former counts and those of new swipes, less those of removed ones.
with parts as (
    select * from sender_counts
    union all
    select * from recounted
)

select
    sender_id,
    cast(sum(n_swipes) as bigint) as n_swipes
from parts
group by sender_id
having sum(n_swipes) > 0

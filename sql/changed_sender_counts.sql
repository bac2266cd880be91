-- changed_sender_counts: the swipes of senders whose gender changed, by the gender at the swipe; empty if --gender is now.
--
-- grain:  user_id, gender
-- reads:  swipes, gender_changes
-- time:   as swipes
-- source: Bogatyy & Tom: swipes sent, by gender
select
    cast(gender_changes.user_id as varchar) as user_id,    -- the sender
    cast(gender_changes.gender as varchar) as gender,      -- at the swipe; NULL: unknown
    cast(count(*) as bigint) as n_swipes                   -- swipes sent, whatever became of them
from swipes
inner join gender_changes
    on swipes.sender_id = gender_changes.user_id
    and swipes.swiped_at >= gender_changes.valid_from
    and swipes.swiped_at < gender_changes.valid_to
group by gender_changes.user_id, gender_changes.gender

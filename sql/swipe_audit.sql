-- swipe_audit: every swipe under one reason; the reasons sum to the number of swipes.
--
-- grain:  reason
-- reads:  swipe_counts
-- time:   as swipe_counts
-- source: Bogatyy & Tom: 40M swipes, of which 11M remain
with totals as (
    select reason, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from swipe_counts
    group by reason
)

select
    cast(reason as varchar) as reason,                                    -- kept, stale_photo, before_first_photo, photo_removed, no_photo, foreign_photo, unknown_recipient, self_swipe
    cast(n_swipes as bigint) as n_swipes,                                 -- swipes
    cast(n_likes as bigint) as n_likes,                                   -- of these, to the right
    cast(reason = 'kept' as boolean) as in_latest,                        -- counted in the window `latest`
    cast(reason in ('kept', 'stale_photo') as boolean) as in_every        -- counted in the window `every`
from totals

-- every_swipe_has_a_reason: the reasons sum to the swipes that had happened and were known at the clock's moment, and no others
--
-- reads:  swipe_audit, recipient_counts, sender_counts, clock
with visible as (
    select count(*) as n_swipes
    from (
        select swiped_at
        from facts.swipes
        cross join clock
        where swiped_at < as_of and ingested_at < known_at
        union all
        select swiped_at
        from facts.replaced_swipes
        cross join clock
        where swiped_at < as_of and ingested_at < known_at and replaced_at >= known_at
    ) as known
),

told as (
    select 'swipe_audit' as relation, coalesce(sum(n_swipes), 0) as n_swipes
    from swipe_audit
    union all
    select 'recipient_counts' as relation, coalesce(sum(n_swipes), 0) as n_swipes
    from recipient_counts
    union all
    select 'sender_counts' as relation, coalesce(sum(n_swipes), 0) as n_swipes
    from sender_counts
)

select told.relation, told.n_swipes, visible.n_swipes as n_visible
from told
cross join visible
where told.n_swipes <> visible.n_swipes

-- windows_match_the_audit: the swipes of each window are those that the audit counts into it
--
-- reads:  like_ratios, swipe_audit
with windows as (
    select 'latest' as time_window, coalesce(sum(n_swipes), 0) as n_swipes, coalesce(sum(n_likes), 0) as n_likes
    from like_ratios
    where time_window = 'latest'
    union all
    select 'every' as time_window, coalesce(sum(n_swipes), 0) as n_swipes, coalesce(sum(n_likes), 0) as n_likes
    from like_ratios
    where time_window = 'every'
),

audited as (
    select 'latest' as time_window, coalesce(sum(n_swipes), 0) as n_swipes, coalesce(sum(n_likes), 0) as n_likes
    from swipe_audit
    where in_latest
    union all
    select 'every' as time_window, coalesce(sum(n_swipes), 0) as n_swipes, coalesce(sum(n_likes), 0) as n_likes
    from swipe_audit
    where in_every
)

select windows.*, audited.n_swipes as n_audited, audited.n_likes as n_likes_audited
from windows
inner join audited on windows.time_window = audited.time_window
where windows.n_swipes <> audited.n_swipes or windows.n_likes <> audited.n_likes

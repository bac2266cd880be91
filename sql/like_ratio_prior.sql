-- like_ratio_prior: the beta distribution that the photos' true like ratios seem to come from.
--
-- grain:  time_window
-- reads:  photo_counts
-- time:   as photo_counts
-- source: method of moments, as in Kleinman 1973 (JASA 68, 46-54) with equal weights
--
-- The mean m and the variance of the ratios of photos with at least two swipes; from the variance goes
-- what sampling alone explains, the mean of p (1 - p) / (n - 1). What is left, v, gives the strength
-- m (1 - m) / v - 1 = alpha + beta. Where nothing is left (v <= 0) the photos are alike and the
-- strength is the number of swipes. Where no beta fits (no such photo, m is 0 or 1, or v too wide)
-- the prior is uniform, and `fitted` says so.
-- Sums are of whole billionths, so that they do not depend on the order of addition.
with ratios as (
    select
        time_window,
        n_swipes,
        cast(n_likes as double) / nullif(n_swipes, 0) as p
    from photo_counts
    where n_swipes >= 2
),

centred as (
    select
        time_window,
        n_swipes,
        p,
        cast(sum(cast(floor(p * 1e9 + 0.5e0) as bigint)) over (partition by time_window) as double)
        / 1e9 / count(*) over (partition by time_window) as mean_ratio
    from ratios
),

moments as (
    select
        time_window,
        count(*) as n_photos,
        sum(n_swipes) as n_swipes,
        max(mean_ratio) as mean_ratio,
        cast(sum(cast(floor((p - mean_ratio) * (p - mean_ratio) * 1e9 + 0.5e0) as bigint)) as double)
        / 1e9 / nullif(count(*) - 1, 0) as variance,
        cast(sum(cast(floor(p * (1e0 - p) / nullif(n_swipes - 1, 0) * 1e9 + 0.5e0) as bigint)) as double)
        / 1e9 / nullif(count(*), 0) as noise
    from centred
    group by time_window
),

strengths as (
    select
        moments.*,
        case
            when variance > noise then mean_ratio * (1e0 - mean_ratio) / nullif(variance - noise, 0) - 1e0
            else cast(n_swipes as double)
        end as strength
    from moments
),

windows as (
    select 'latest' as time_window
    union all
    select 'every' as time_window
)

select
    cast(windows.time_window as varchar) as time_window,                -- latest, every
    cast(coalesce(n_photos, 0) as bigint) as n_photos,                  -- photos that the fit stands on
    cast(mean_ratio as double) as mean_ratio,                           -- of their like ratios
    cast(variance as double) as variance,                               -- of their like ratios, from n - 1
    cast(noise as double) as noise,                                     -- the part of it that sampling explains
    cast(coalesce(strength > 0e0 and mean_ratio > 0e0 and mean_ratio < 1e0, false) as boolean) as fitted, -- false: uniform for want of a fit
    cast(case when strength > 0e0 and mean_ratio > 0e0 and mean_ratio < 1e0 then mean_ratio * strength else 1e0 end as double) as alpha, -- as many likes before the first swipe
    cast(case when strength > 0e0 and mean_ratio > 0e0 and mean_ratio < 1e0 then (1e0 - mean_ratio) * strength else 1e0 end as double) as beta -- as many refusals before the first swipe
from windows
left join strengths on windows.time_window = strengths.time_window

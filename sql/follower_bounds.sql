-- follower_bounds: between which follower counts an owner is no outlier.
--
-- grain:  one row
-- reads:  posts
-- time:   as posts
-- source: "Likability of Instagram photos": counts are too skewed for standard deviations, so median absolute deviations
-- parameters: follower_scale, mad_threshold
--
-- Over the owners of collected posts, each counted once: median -/+ threshold x 1.4826 x MAD, in
-- followers or in their logarithms. 1.4826 makes the MAD of a normal distribution its standard deviation.
-- A bound that is a whole number but for rounding is that number, so that an owner exactly at it is kept:
-- exp(ln(100)) is a little more than 100.
with owners as (
    select distinct user_id, followers
    from posts
    where dropped is null
),

scaled as (
    select case when $follower_scale = 'log' then ln(followers) else cast(followers as double) end as x
    from owners
),

centred as (
    select x, median(x) over () as centre
    from scaled
),

spread as (
    select
        count(*) as n_users,
        max(centre) as centre,
        1.482602218505602e0 * median(abs(x - centre)) as deviation
    from centred
),

scaled_bounds as (
    select
        spread.*,
        centre - $mad_threshold * deviation as low,
        centre + $mad_threshold * deviation as high,
        2e-15 * (abs(centre) + $mad_threshold * deviation) as rounding
    from spread
),

bounds as (
    select
        n_users,
        centre,
        deviation,
        case when $follower_scale = 'log' then exp(low) else low end as low,
        case when $follower_scale = 'log' then exp(high) else high end as high,
        case when $follower_scale = 'log' then 1e-12 * exp(low) else rounding end as low_rounding,
        case when $follower_scale = 'log' then 1e-12 * exp(high) else rounding end as high_rounding
    from scaled_bounds
)

select
    cast(n_users as bigint) as n_users,                 -- owners of collected posts
    cast($follower_scale as varchar) as follower_scale, -- linear, log
    cast(centre as double) as centre,                   -- median, on that scale
    cast(deviation as double) as deviation,             -- scaled MAD, on that scale
    cast(case
        when abs(low - floor(low + 5e-1)) <= low_rounding then floor(low + 5e-1)
        else low
    end as double) as low,                              -- followers; fewer is an outlier
    cast(case
        when abs(high - floor(high + 5e-1)) <= high_rounding then floor(high + 5e-1)
        else high
    end as double) as high                              -- followers; more is an outlier
from bounds

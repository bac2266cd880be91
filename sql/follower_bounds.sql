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
)

select
    cast(n_users as bigint) as n_users,                 -- owners of collected posts
    cast($follower_scale as varchar) as follower_scale, -- linear, log
    cast(centre as double) as centre,                   -- median, on that scale
    cast(deviation as double) as deviation,             -- scaled MAD, on that scale
    cast(case
        when $follower_scale = 'log' then exp(centre - $mad_threshold * deviation)
        else centre - $mad_threshold * deviation
    end as double) as low,                              -- followers; fewer is an outlier
    cast(case
        when $follower_scale = 'log' then exp(centre + $mad_threshold * deviation)
        else centre + $mad_threshold * deviation
    end as double) as high                              -- followers; more is an outlier
from spread

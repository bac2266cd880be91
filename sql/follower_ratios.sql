-- follower_ratios: likes per follower of every post, and why a post is left out.
--
-- grain:  photo_id
-- reads:  posts, follower_bounds, faces
-- time:   as posts
-- source: "Likability of Instagram photos"; Karpathy, selfies: halves within groups of similar audience
-- parameters: face_filter, lenient_confidence, strict_confidence, normalise, band_size
--
-- The first reason that holds is given, in the order of the published road: collecting, outliers among
-- owners, faces. Bands are consecutive posts, `band_size` at a time, by their owners' followers.
-- The ratio is there for dropped posts too; ranks are among kept posts only.
with best_faces as (
    select photo_id, max(confidence) as confidence
    from faces
    group by photo_id
),

judged as (
    select
        posts.photo_id,
        posts.user_id,
        posts.likes,
        posts.followers,
        cast(posts.likes as double) / nullif(posts.followers, 0) as ratio,
        case
            when posts.dropped is not null then posts.dropped
            when posts.followers < follower_bounds.low then 'mad_low'
            when posts.followers > follower_bounds.high then 'mad_high'
            when $face_filter <> 'off' and posts.sha256 is null then 'no_picture'
            when $face_filter = 'lenient' and coalesce(best_faces.confidence, 0e0) < $lenient_confidence then 'no_face'
            when $face_filter = 'strict' and coalesce(best_faces.confidence, 0e0) < $strict_confidence then 'no_face'
        end as reason
    from posts
    cross join follower_bounds
    left join best_faces on posts.photo_id = best_faces.photo_id
),

counted as (
    select
        judged.*,
        count(*) filter (where reason is null) over (partition by user_id) as n_of_user
    from judged
),

filtered as (
    select
        photo_id,
        user_id,
        likes,
        followers,
        ratio,
        case when reason is null and $normalise = 'user' and n_of_user < 2 then 'only_post' else reason end as dropped
    from counted
),

banded as (
    select
        filtered.*,
        (row_number() over (partition by dropped is null order by followers, user_id, photo_id) - 1) // $band_size as band
    from filtered
),

ranked as (
    select
        banded.*,
        1e2 * percent_rank() over (partition by dropped is null order by ratio) as percentile,
        ratio > median(ratio) over (partition by dropped is null) as popular,
        1e2 * percent_rank() over (partition by dropped is null, band order by ratio) as band_percentile,
        ratio > median(ratio) over (partition by dropped is null, band) as band_popular,
        1e2 * percent_rank() over (partition by dropped is null, user_id order by ratio) as user_percentile,
        ratio > median(ratio) over (partition by dropped is null, user_id) as user_popular
    from banded
)

select
    cast(photo_id as varchar) as photo_id,                                                    -- the photo
    cast(user_id as varchar) as user_id,                                                      -- its owner
    cast(likes as bigint) as likes,                                                           -- as last counted
    cast(followers as bigint) as followers,                                                   -- of the owner
    cast(ratio as double) as ratio,                                                           -- likes / followers; NULL: no followers
    cast(dropped as varchar) as dropped,                                                      -- NULL: kept; no_date, impossible_date, too_young, hashtag, no_followers, mad_low, mad_high, no_picture, no_face, only_post
    cast(case when dropped is null then percentile end as double) as percentile,              -- share of the other kept posts that are lower, 0 to 100
    cast(case when dropped is null then popular end as boolean) as popular,                   -- ratio above the median of kept posts
    cast(case when dropped is null then band end as bigint) as band,                          -- group of posts with similar audience, from 0
    cast(case when dropped is null then band_percentile end as double) as band_percentile,    -- as percentile, within the band
    cast(case when dropped is null then band_popular end as boolean) as band_popular,         -- ratio above the median of the band
    cast(case when dropped is null then user_percentile end as double) as user_percentile,    -- as percentile, among the owner's posts
    cast(case when dropped is null then user_popular end as boolean) as user_popular          -- ratio above the median of the owner's posts
from ranked

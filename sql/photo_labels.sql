-- photo_labels: what a model learns: one value per photo, how much it weighs, and whether it beats the median.
--
-- grain:  photo_id, source
-- reads:  like_ratios, follower_ratios, user_genders, gender_changes, photo_owners, photo_periods, deleted_photos, deleted_users
-- time:   of swipes, those in the window $window; of posts, the likes as last counted
-- source: Bogatyy & Tom, "Label" and "Weight"; "Likability of Instagram photos": upper half good, lower half bad
-- parameters: window, min_swipes, normalise
--
-- The label set of swipes is all their labels. That of posts follows $normalise: all of them, the band
-- of similar audience, or the owner's own. The owner's gender is that of today; with `--gender then`, that at the
-- instant at which the photo last became the main photo, or at which the post went online.
-- Deleted photos have no labels, nor have those of deleted users, also if no photos file names them.
with labels as (
    select
        photo_id,
        user_id,
        'swipes' as source,
        like_ratio as value,
        cast(n_swipes as double) as weight,
        like_ratio > median(like_ratio) over () as popular,
        1e2 * percent_rank() over (order by like_ratio) as percentile
    from like_ratios
    anti join deleted_photos using (photo_id)
    anti join deleted_users using (user_id)
    where time_window = $window and n_swipes >= $min_swipes
    union all
    select
        photo_id,
        user_id,
        'posts' as source,
        ratio as value,
        1e0 as weight,
        case $normalise when 'band' then band_popular when 'user' then user_popular else popular end as popular,
        case $normalise when 'band' then band_percentile when 'user' then user_percentile else percentile end as percentile
    from follower_ratios
    where dropped is null
),

shown as (
    select photo_id, 'swipes' as source, max(valid_from) as shown_at
    from photo_periods
    semi join gender_changes using (user_id)
    group by photo_id
    union all
    select photo_id, 'posts' as source, posted_at as shown_at
    from photo_owners
    semi join gender_changes using (user_id)
),

genders as (
    select shown.photo_id, shown.source, gender_changes.gender
    from shown
    inner join photo_owners on shown.photo_id = photo_owners.photo_id
    inner join gender_changes
        on photo_owners.user_id = gender_changes.user_id
        and shown.shown_at >= gender_changes.valid_from
        and shown.shown_at < gender_changes.valid_to
)

select
    cast(labels.photo_id as varchar) as photo_id,      -- the photo
    cast(labels.user_id as varchar) as user_id,        -- its owner
    cast(case
        when genders.photo_id is null then user_genders.gender
        else genders.gender
    end as varchar) as gender,                         -- of the owner; NULL: unknown
    cast(labels.source as varchar) as source,          -- swipes, posts
    cast(labels.value as double) as value,             -- swipes: like ratio; posts: likes / followers
    cast(labels.weight as double) as weight,           -- swipes: how many the value stands on; posts: 1
    cast(labels.popular as boolean) as popular,        -- value above the median of the label set
    cast(labels.percentile as double) as percentile    -- share of the other labels of the set that are lower, 0 to 100
from labels
left join user_genders on labels.user_id = user_genders.user_id
left join genders on labels.photo_id = genders.photo_id and labels.source = genders.source

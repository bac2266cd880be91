-- posts: photos whose likes were counted, and which of them were collected as the experiment asks.
--
-- grain:  photo_id
-- reads:  photos, users, clock
-- time:   old enough at the clock's observed_at; likes as last counted before as_of
-- source: "Likability of Instagram photos": hashtag, online at least a month, owners' follower counts
-- parameters: earliest_post, min_age_days, hashtag
--
-- The first reason that holds is given. A date before the network existed is a lost date, not an old post.
with posted as (
    select
        photos.*,
        users.followers,
        clock.observed_at
    from photos
    left join users on photos.user_id = users.user_id
    cross join clock
    where photos.likes is not null
)

select
    cast(photo_id as varchar) as photo_id,       -- the photo
    cast(user_id as varchar) as user_id,         -- its owner
    cast(likes as bigint) as likes,              -- as last counted
    cast(followers as bigint) as followers,      -- of the owner
    cast(posted_at as timestamp) as posted_at,   -- when it went online; NULL: unknown
    cast(sha256 as varchar) as sha256,           -- of the bytes held; NULL: none held
    cast(case
        when posted_at is null then 'no_date'
        when posted_at < $earliest_post then 'impossible_date'
        when posted_at + $min_age_days * interval 1 day > observed_at then 'too_young'
        when $hashtag is not null and not coalesce(list_contains(hashtags, $hashtag), false) then 'hashtag'
        when coalesce(followers, 0) <= 0 then 'no_followers'
    end as varchar) as dropped                   -- NULL: collected; no_date, impossible_date, too_young, hashtag, no_followers
from posted

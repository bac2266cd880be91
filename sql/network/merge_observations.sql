-- merge_observations: every observation of an account or a post, as rows of facts.observations.
--
-- grain:      kind, object_id, observed_at
-- reads:      pages
-- time:       when each was observed
-- source:     `features crawl`
-- parameters: now
select
    'account' as kind,
    account.user_id as object_id,
    account.followers as followers,
    account.posts as posts,
    null as likes,
    null as comments,
    observed_at,
    $now as ingested_at
from pages
where account is not null

union all

select
    'post',
    post.photo_id,
    null,
    null,
    post.likes,
    post.comments,
    observed_at,
    $now
from (select unnest(posts) as post, observed_at from pages)

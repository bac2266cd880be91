-- merge_targets: state of the crawls after one journal segment, as rows of facts.crawl_targets.
--
-- grain:      target
-- reads:      pages
-- time:       the last page of each target in the segment, and of each crawl the page that names its account
-- source:     `features crawl`
-- parameters: now
select
    target,
    status,
    detail,
    cursor,
    n_posts,
    began_at,
    page,
    coalesce(account.user_id, posts[1].user_id) as user_id,
    observed_at,
    $now
from pages
qualify
    row_number() over (partition by target order by began_at desc, page desc) = 1
    or account is not null

-- merge_targets: where the walks stand after one journal segment, as rows of facts.crawl_targets.
--
-- grain:      target
-- reads:      pages
-- time:       the last page of each target in the segment
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
    observed_at,
    $now
from pages
qualify row_number() over (partition by target order by began_at desc, page desc) = 1

-- crawl_targets: state of the crawl of each given target.
--
-- grain:      target
-- reads:      facts.crawl_targets
-- time:       the last page of the newest crawl
-- source:     `features crawl`
-- parameters: targets
select
    target,
    status,
    cursor,
    posts,
    began_at,
    page
from facts.crawl_targets
where target in (select unnest($targets))
qualify row_number() over (partition by target order by began_at desc, page desc) = 1

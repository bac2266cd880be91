-- crawl_targets: state of the crawl of each account or hashtag.
--
-- grain:  target
-- reads:  facts.crawl_targets
-- time:   the last page of the newest crawl, independent of the clock
-- source: `features crawl`
with pages as (
    select *, max(user_id) over (partition by target, began_at) as owner_id
    from facts.crawl_targets
    qualify row_number() over (partition by target order by began_at desc, page desc) = 1
)

select
    cast(target as varchar) as target,             -- user:NAME, recent:TAG, top:TAG
    cast(status as varchar) as status,             -- open: resumes where it stopped; done; else the reason why it ended
    cast(detail as varchar) as detail,             -- message of the network; NULL: none
    cast(posts as bigint) as n_posts,              -- photos that this crawl added
    cast(page as integer) as n_pages,              -- pages that this crawl read
    cast(owner_id as varchar) as user_id,          -- the account; NULL: a hashtag, or unknown
    cast(began_at as timestamp) as began_at,       -- when the crawl began
    cast(observed_at as timestamp) as observed_at  -- when its last page was read
from pages

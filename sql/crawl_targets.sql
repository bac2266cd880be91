-- crawl_targets: where the walk along each account or hashtag stands.
--
-- grain:  target
-- reads:  facts.crawl_targets
-- time:   the last page of the newest walk, whatever the clock
-- source: `features crawl`
with pages as (
    select *, max(user_id) over (partition by target, began_at) as owner_id
    from facts.crawl_targets
    qualify row_number() over (partition by target order by began_at desc, page desc) = 1
)

select
    cast(target as varchar) as target,             -- user:NAME, recent:TAG, top:TAG
    cast(status as varchar) as status,             -- open: goes on where it stopped; done; else why it ended
    cast(detail as varchar) as detail,             -- what the network said; NULL: nothing
    cast(posts as bigint) as n_posts,              -- pictures taken in by this walk
    cast(page as integer) as n_pages,              -- read by this walk
    cast(owner_id as varchar) as user_id,          -- the account; NULL: a hashtag, or not told
    cast(began_at as timestamp) as began_at,       -- when the walk began
    cast(observed_at as timestamp) as observed_at  -- when its last page was read
from pages

-- reject_erased: one reject per erased account and post of a segment, without its id.
--
-- grain:      one row per refused account or post
-- reads:      judged_pages
-- time:       the time of the merge
-- source:     `features crawl`
-- parameters: now
select 'users' as kind, 'crawl' as source, null as line, 'erased' as reason, null as detail, null as raw, $now
from judged_pages
where is_erased

union all

select 'photos', 'crawl', null, 'erased', null, null, $now
from (
    select unnest(range(case when is_erased then n_erased + len(posts) else n_erased end))
    from judged_pages
)

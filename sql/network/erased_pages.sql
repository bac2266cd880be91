-- erased_pages: the pages of a segment without the posts of erased people, and the pages that belong to erased people.
--
-- grain:      target, began_at, page
-- reads:      pages; the macro was_erased
-- time:       in the order of the journal
-- source:     `features erase`
with erased_posts as (
    select coalesce(list(distinct photo_id), []) as photo_ids
    from (select unnest(posts, recursive := true) from pages)
    where was_erased('photo', photo_id) or was_erased('user', user_id)
)

select
    pages.* replace (list_filter(posts, lambda post: not list_contains(photo_ids, post.photo_id)) as posts),
    coalesce(was_erased('user', account.user_id), false) or was_erased('target', target) as is_erased,
    len(list_filter(posts, lambda post: list_contains(photo_ids, post.photo_id))) as n_erased
from pages
cross join erased_posts

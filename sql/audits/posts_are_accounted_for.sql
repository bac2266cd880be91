-- posts_are_accounted_for: every post has one row, and what is kept lies within the bounds
--
-- reads:  follower_ratios, posts, follower_bounds
with counted as (
    select
        (select count(*) from posts) as n_posts,
        (select count(*) from follower_ratios) as n_rows,
        (select count(distinct photo_id) from follower_ratios) as n_photos
)

select 'rows' as what, cast(n_posts as varchar) as expected, cast(n_rows as varchar) as found
from counted
where n_posts <> n_rows or n_posts <> n_photos
union all
select photo_id as what, 'followers within bounds' as expected, cast(followers as varchar) as found
from follower_ratios
cross join follower_bounds
where dropped is null and not coalesce(followers between low and high and ratio >= 0e0, false)

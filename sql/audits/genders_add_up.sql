-- genders_add_up: the groups of a window sum to the swipes of its photos
--
-- reads:  gender_breakdown, like_ratios
with groups as (
    select time_window, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from gender_breakdown
    group by time_window
),

photos_of_window as (
    select time_window, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from like_ratios
    group by time_window
)

select photos_of_window.*, groups.n_swipes as n_swipes_of_groups, groups.n_likes as n_likes_of_groups
from photos_of_window
left join groups on photos_of_window.time_window = groups.time_window
where groups.n_swipes is distinct from photos_of_window.n_swipes
    or groups.n_likes is distinct from photos_of_window.n_likes

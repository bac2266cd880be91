-- photos_count_once: a photo stands once in a window, and every counted photo has its ratio
--
-- reads:  photo_counts, like_ratios
with repeated as (
    select photo_no, time_window, count(*) as n_rows
    from photo_counts
    group by photo_no, time_window
    having count(*) > 1
),

sizes as (
    select
        (select count(*) from photo_counts) as n_counts,
        (select count(*) from like_ratios) as n_ratios
)

select photo_no, time_window, n_rows, null as n_ratios
from repeated
union all
select null as photo_no, 'both' as time_window, n_counts, n_ratios
from sizes
where n_counts <> n_ratios

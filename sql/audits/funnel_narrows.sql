-- funnel_narrows: no step has more photos or swipes than the one before; labels stand on one of two windows
--
-- reads:  funnel
with steps as (
    select
        source,
        step,
        n_photos,
        n_swipes,
        lag(n_photos) over (partition by source order by step_no) as n_photos_before,
        case
            when step = 'labelled' then max(n_swipes) filter (where step = 'every') over (partition by source)
            else lag(n_swipes) over (partition by source order by step_no)
        end as n_swipes_before
    from funnel
)

select source, step, n_photos_before, n_photos, n_swipes_before, n_swipes
from steps
where n_swipes > n_swipes_before or (source = 'posts' and n_photos > n_photos_before)

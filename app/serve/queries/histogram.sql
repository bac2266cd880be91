-- Histogram of like ratios with 20 bins, by gender of the owner.
--
-- grain: bin, gender
-- reads: like_ratios, user_genders
select
    cast(least(floor(like_ratios.like_ratio * 20), 19) as integer) as bin,
    coalesce(user_genders.gender, 'unknown') as gender,
    count(*) as n_photos
from like_ratios
left join user_genders on like_ratios.user_id = user_genders.user_id
where like_ratios.time_window = $window
group by bin, coalesce(user_genders.gender, 'unknown')

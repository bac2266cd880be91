-- Like ratio of all swipes by month and gender of the recipient.
--
-- grain: month, gender
-- reads: swipes, user_genders
select
    strftime(date_trunc('month', swipes.swiped_at), '%Y-%m') as month,
    coalesce(user_genders.gender, 'unknown') as gender,
    cast(count(*) filter (where swipes.liked) as double) / count(*) as like_ratio,
    count(*) as n_swipes
from swipes
inner join user_genders on swipes.recipient_id = user_genders.user_id
group by month, coalesce(user_genders.gender, 'unknown')
order by month

-- half_is_popular: at most half of a source is popular, since popular is above a median
--
-- reads:  photo_labels
select source, count(*) as n_labels, count(*) filter (where popular) as n_popular
from photo_labels
group by source
having 2 * count(*) filter (where popular) > count(*)

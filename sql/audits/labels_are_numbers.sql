-- labels_are_numbers: a label has a value, a positive weight, a percentile, and is popular or not
--
-- reads:  photo_labels
select photo_id, source, value, weight, popular, percentile
from photo_labels
where not coalesce(
    value >= 0e0
    and value < 1e18
    and (source = 'posts' or value <= 1e0)
    and weight > 0e0
    and percentile between 0e0 and 1e2
    and popular is not null,
    false
)
